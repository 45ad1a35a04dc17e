package fakevendor

import (
	"encoding/xml"
	"net/http"
	"strconv"
	"time"
)

// serveImage serves a file, or the range of it that was requested, through the job's middleware.
func (v *Vendor) serveImage(w http.ResponseWriter, r *http.Request) {
	file := v.image(r.URL.Path)
	if file == nil {
		Refuse(w, http.StatusNotFound, 0)
		return
	}
	file.requests.Add(1)
	w.Header().Set("Content-Type", file.Format.MediaType())
	if file.etag != "" {
		w.Header().Set("ETag", file.etag)
	}
	file.handler.ServeHTTP(w, r)
}

// serveContent serves a picture.
func (v *Vendor) serveContent(wanted picture) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		content, err := v.contents.get(wanted)
		if err != nil { // it was made before, so this is unlikely
			Refuse(w, http.StatusInternalServerError, 0)
			return
		}
		http.ServeContent(w, r, "", time.Time{}, content.open())
	})
}

// Refuse writes an error response in the format of an object store. A retryAfter of 0 sets no header.
func Refuse(w http.ResponseWriter, status int, retryAfter time.Duration) {
	if retryAfter > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(int(retryAfter.Seconds())))
	}
	w.Header().Del("ETag")
	w.Header().Set("Content-Type", "application/xml")
	w.WriteHeader(status)
	type storeError struct {
		XMLName xml.Name `xml:"Error"`
		Code    int
		Message string
	}
	_ = xml.NewEncoder(w).Encode(storeError{Code: status, Message: http.StatusText(status)})
}
