def markdown(run, rows): return ""
def html(run, rows): return ""
