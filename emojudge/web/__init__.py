"""What strangers may ask over HTTP: the service and the page."""
