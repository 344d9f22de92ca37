"""For people in a browser and for programs: the service (extra `service`) and the page (extra `web`)."""
