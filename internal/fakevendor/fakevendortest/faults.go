package fakevendortest

import (
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/deepimage-receiver/receiver/internal/fakevendor"
)

// Kind is a way in which the image host misbehaves.
type Kind int

// Every way to misbehave.
const (
	Break      Kind = iota + 1 // the connection is cut after Percent of the body
	Stall                      // after Percent of the body nothing comes for Pause
	Slow                       // the body comes in twenty parts with Pause between
	Status                     // an error answer with Status and RetryAfter
	Partial                    // 206 with the first Percent, though no range was asked for
	Page                       // 200 with an HTML page
	WrongType                  // a PDF with the media type of the image
	Empty                      // 200 with no body
	Short                      // 200 with the first Percent, announced and ended as if it were all
	Redirect                   // 302 to Location
	Compressed                 // the body gzipped, although the client does not accept that
)

// Fault is one way to misbehave, for some or all requests for an image.
type Fault struct {
	Kind       Kind
	Image      int           // which image of the job, from 0
	Times      int           // how many requests it hits; 0 is every one
	Percent    int           // of the body, 0 to 100, for Break, Stall, Partial and Short
	Pause      time.Duration // for Stall and Slow; 0 is until the client has gone
	Status     int           // for Status
	RetryAfter time.Duration // for Status, in whole seconds; 0 says nothing
	Location   string        // for Redirect; "" is the image itself
	OnHit      func()        // for Break, Stall and Slow: called for each call it hits; may be nil
}

func checkFaults(faults []Fault) error {
	for _, fault := range faults {
		switch {
		case fault.Kind < Break || fault.Kind > Compressed:
			return fmt.Errorf("no such kind of fault: %d", fault.Kind)
		case fault.Percent < 0 || fault.Percent > 100:
			return fmt.Errorf("a fault after %d %% of the body", fault.Percent)
		case fault.Kind == Status && (fault.Status < 400 || fault.Status > 599):
			return fmt.Errorf("a fault with status %d", fault.Status)
		case fault.Times < 0 || fault.Pause < 0 || fault.RetryAfter < 0:
			return errors.New("a fault with a negative number")
		}
	}
	return nil
}

// selectFaults returns the faults of one image.
func selectFaults(faults []Fault, image int) *faultPlan[Fault] {
	var own []Fault
	for _, fault := range faults {
		if fault.Image == image {
			own = append(own, fault)
		}
	}
	return &faultPlan[Fault]{faults: own, times: func(f *Fault) *int { return &f.Times }}
}

// anyFault wants every fault.
func anyFault(Fault) bool { return true }

// pdfDocument is sent in place of an image.
const pdfDocument = "%PDF-1.4\n1 0 obj\n<< /Type /Catalog >>\nendobj\ntrailer\n<< /Root 1 0 R >>\n%%EOF\n"

// wrap returns a handler with the fault.
func (f Fault) wrap(next http.Handler) http.Handler {
	const slowParts = 20
	switch f.Kind {
	case Break, Stall:
		return fakevendor.Interrupt(f.Percent, false, f.apply)(next)
	case Slow:
		return fakevendor.Interrupt(100/slowParts, true, f.apply)(next)
	case Status:
		return fakevendor.Status(f.Status, f.RetryAfter)(next)
	case Page:
		return fakevendor.Page()(next)
	case WrongType:
		return fakevendor.Replace("", pdfDocument)(next)
	case Empty:
		return fakevendor.Replace("", "")(next)
	case Partial:
		return f.truncate(next, http.StatusPartialContent)
	case Short:
		return f.truncate(next, http.StatusOK)
	case Redirect:
		return f.redirect()
	case Compressed:
		return compress(next)
	default:
		return next
	}
}

func (f Fault) apply(r *http.Request) {
	if f.OnHit != nil {
		f.OnHit()
	}
	if f.Kind == Break {
		panic(http.ErrAbortHandler)
	}
	pause(r, f.Pause)
}

// pause waits for d, at most until the client or the vendor is gone. 0 has no limit.
func pause(r *http.Request, d time.Duration) {
	var over <-chan time.Time
	if d > 0 {
		timer := time.NewTimer(d)
		defer timer.Stop()
		over = timer.C
	}
	select {
	case <-over:
	case <-r.Context().Done():
		panic(http.ErrAbortHandler)
	}
}

func (f Fault) redirect() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Del("ETag")
		http.Redirect(w, r, orDefault(f.Location, r.URL.RequestURI()), http.StatusFound) //nolint:gosec // the test chooses the location
	})
}

// truncate sends the first part of the file as if it were all.
func (f Fault) truncate(next http.Handler, status int) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		next.ServeHTTP(&truncator{ResponseWriter: w, percent: int64(f.Percent), status: status}, withoutRange(r))
	})
}

// withoutRange returns the request for the whole file.
func withoutRange(r *http.Request) *http.Request {
	whole := r.Clone(r.Context())
	whole.Header.Del("Range")
	whole.Header.Del("If-Range")
	return whole
}

type truncator struct {
	http.ResponseWriter
	percent int64
	status  int
	left    int64 // bytes
}

// WriteHeader announces the part as the whole.
func (t *truncator) WriteHeader(int) {
	size, _ := strconv.ParseInt(t.Header().Get("Content-Length"), 10, 64) // 0 without a length
	t.left = size * t.percent / 100
	if t.status == http.StatusPartialContent {
		t.Header().Set("Content-Range", fmt.Sprintf("bytes 0-%d/%d", max(t.left, 1)-1, size))
	}
	t.Header().Set("Content-Length", strconv.FormatInt(t.left, 10))
	t.ResponseWriter.WriteHeader(t.status)
}

// Write writes what is left of the part.
func (t *truncator) Write(p []byte) (int, error) {
	n, err := t.ResponseWriter.Write(p[:min(int64(len(p)), t.left)])
	t.left -= int64(n)
	if err == nil && n < len(p) {
		err = io.ErrShortWrite
	}
	return n, err
}

// compress sends the file gzipped although no client asked for that.
func compress(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		zipped := gzip.NewWriter(w)
		next.ServeHTTP(&compressor{ResponseWriter: w, zipped: zipped}, withoutRange(r))
		_ = zipped.Close() // the client may be gone
	})
}

type compressor struct {
	http.ResponseWriter
	zipped *gzip.Writer
}

// WriteHeader replaces the length by the coding.
func (c *compressor) WriteHeader(status int) {
	c.Header().Del("Content-Length")
	c.Header().Del("Accept-Ranges")
	c.Header().Set("Content-Encoding", "gzip")
	c.ResponseWriter.WriteHeader(status)
}

// Write compresses p.
func (c *compressor) Write(p []byte) (int, error) { return c.zipped.Write(p) }
