package fakevendor

import (
	"compress/gzip"
	"encoding/xml"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"
)

// What is sent in place of an image.
const (
	htmlPage    = "<!DOCTYPE html>\n<html><head><title>Sorry</title></head><body><h1>This page is having a rest</h1></body></html>\n"
	pdfDocument = "%PDF-1.4\n1 0 obj\n<< /Type /Catalog >>\nendobj\ntrailer\n<< /Root 1 0 R >>\n%%EOF\n"
)

// serveImage answers a request for an image as its plan of faults says.
func (v *Vendor) serveImage(w http.ResponseWriter, r *http.Request) {
	file := v.image(r.URL.Path)
	if file == nil {
		refuse(w, http.StatusNotFound, 0)
		return
	}
	file.requests.Add(1)
	if status := file.job.refuses(r); status != 0 {
		refuse(w, status, 0)
		return
	}
	content, err := v.contents.get(file.picture)
	if err != nil { // it could be made before
		refuse(w, http.StatusInternalServerError, 0)
		return
	}
	w.Header().Set("Content-Type", file.Format.MediaType())
	if file.etag != "" {
		w.Header().Set("ETag", file.etag)
	}
	answer{w, r, content, file.plan.next(anyFault)}.send()
}

// answer is one answer of the image host.
type answer struct {
	w       http.ResponseWriter
	r       *http.Request
	content content
	fault   Fault
}

func (a answer) send() {
	switch a.fault.Kind {
	case Break, Stall, Slow:
		a.whole(a.disturbed())
	case Status:
		refuse(a.w, a.fault.Status, a.fault.RetryAfter)
	case Partial:
		a.partial()
	case Page:
		a.instead("text/html; charset=utf-8", htmlPage)
	case WrongType:
		a.instead(a.w.Header().Get("Content-Type"), pdfDocument)
	case Empty:
		a.instead(a.w.Header().Get("Content-Type"), "")
	case Short:
		a.short(http.StatusOK)
	case Redirect:
		a.redirect()
	case Compressed:
		a.compressed()
	default:
		a.whole(a.w)
	}
}

// whole sends the file, or the range that was asked for.
func (a answer) whole(w http.ResponseWriter) {
	http.ServeContent(w, a.r, "", time.Time{}, a.content.open())
}

// disturbed is the writer that breaks, stalls or slows down on its way.
func (a answer) disturbed() http.ResponseWriter {
	const slowParts = 20
	d := &disturbance{ResponseWriter: a.w, percent: a.fault.Percent, act: a.strike}
	if a.fault.Kind == Slow {
		d.percent, d.again = 100/slowParts, true
	}
	return d
}

func (a answer) strike() {
	if a.fault.Struck != nil {
		a.fault.Struck()
	}
	if a.fault.Kind == Break {
		panic(http.ErrAbortHandler)
	}
	a.pause()
}

// pause waits as long as the fault wants, at most until the client or the vendor has gone.
func (a answer) pause() {
	var over <-chan time.Time
	if a.fault.Pause > 0 {
		timer := time.NewTimer(a.fault.Pause)
		defer timer.Stop()
		over = timer.C
	}
	select {
	case <-over:
	case <-a.r.Context().Done():
		panic(http.ErrAbortHandler)
	}
}

func (a answer) partial() {
	length, size := a.cut(), a.content.size()
	a.w.Header().Set("Content-Range", fmt.Sprintf("bytes 0-%d/%d", max(length, 1)-1, size))
	a.short(http.StatusPartialContent)
}

// short sends the beginning of the file as if it were all.
func (a answer) short(status int) {
	a.w.Header().Set("Content-Length", strconv.FormatInt(a.cut(), 10))
	a.w.WriteHeader(status)
	_, _ = io.CopyN(a.w, a.content.open(), a.cut()) // the client may have gone
}

// cut is how long the fault's share of the file is.
func (a answer) cut() int64 { return a.content.size() * int64(a.fault.Percent) / 100 }

func (a answer) instead(mediaType, body string) {
	a.w.Header().Del("ETag")
	a.w.Header().Set("Content-Type", mediaType)
	a.w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	_, _ = io.WriteString(a.w, body)
}

func (a answer) redirect() {
	a.w.Header().Del("ETag")
	location := a.fault.Location
	if location == "" {
		location = a.r.URL.RequestURI()
	}
	http.Redirect(a.w, a.r, location, http.StatusFound)
}

func (a answer) compressed() {
	a.w.Header().Set("Content-Encoding", "gzip")
	zipped := gzip.NewWriter(a.w)
	if _, err := io.Copy(zipped, a.content.open()); err == nil {
		_ = zipped.Close() // the client may have gone
	}
}

// refuse answers with an error as the object store behind the vendor words it.
func refuse(w http.ResponseWriter, status int, retryAfter time.Duration) {
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

// disturbance acts when a share of the announced body has been written, once or again and again.
type disturbance struct {
	http.ResponseWriter
	percent int
	again   bool
	act     func()

	begun bool
	left  int64 // bytes until it acts; negative for never
	step  int64
}

// Write writes p, acting where it is due. What was written before is flushed first.
func (d *disturbance) Write(p []byte) (int, error) {
	d.begin()
	written := 0
	for d.left >= 0 && int64(len(p)-written) >= d.left {
		n, err := d.ResponseWriter.Write(p[written : written+int(d.left)])
		written += n
		if err != nil {
			return written, err
		}
		d.strike()
	}
	n, err := d.ResponseWriter.Write(p[written:])
	d.left -= int64(n)
	return written + n, err
}

func (d *disturbance) begin() {
	if d.begun {
		return
	}
	d.begun = true
	length, err := strconv.ParseInt(d.Header().Get("Content-Length"), 10, 64)
	if err != nil {
		length = 0
	}
	d.step = length * int64(d.percent) / 100
	d.left = d.step
}

func (d *disturbance) strike() {
	_ = http.NewResponseController(d.ResponseWriter).Flush() // the client may have gone
	d.act()
	d.left = -1
	if d.again {
		d.left = max(d.step, 1)
	}
}
