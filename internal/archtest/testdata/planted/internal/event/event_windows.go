package event

import _ "net/http/cgi"
