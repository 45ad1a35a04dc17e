package fakevendor

import (
	"io"
	"net/http"
	"strconv"
	"sync/atomic"
	"time"
)

// HTMLPage is sent in place of an image.
const HTMLPage = "<!DOCTYPE html>\n<html><head><title>Sorry</title></head><body><h1>This page is having a rest</h1></body></html>\n"

// Fault changes the response for an image. The headers Content-Type and ETag of the image are set before.
type Fault func(next http.Handler) http.Handler

// First applies a fault to the first n requests of the job's first image.
func First(n int64, fault Fault) func(image int, next http.Handler) http.Handler {
	return func(image int, next http.Handler) http.Handler {
		if image != 0 {
			return next
		}
		var requests atomic.Int64
		faulty := fault(next)
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if requests.Add(1) <= n {
				faulty.ServeHTTP(w, r)
				return
			}
			next.ServeHTTP(w, r)
		})
	}
}

// Break closes the connection after a percentage of the body.
func Break(percent int) Fault {
	return Interrupt(percent, false, func(*http.Request) { panic(http.ErrAbortHandler) })
}

// Status answers with an error. A retryAfter of 0 sets no header.
func Status(code int, retryAfter time.Duration) Fault {
	return func(http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { Refuse(w, code, retryAfter) })
	}
}

// Page answers 200 with an HTML page.
func Page() Fault { return Replace("text/html; charset=utf-8", HTMLPage) }

// Replace answers 200 with another body. An empty mediaType keeps that of the image.
func Replace(mediaType, body string) Fault {
	return func(http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Del("ETag")
			if mediaType != "" {
				w.Header().Set("Content-Type", mediaType)
			}
			w.Header().Set("Content-Length", strconv.Itoa(len(body)))
			_, _ = io.WriteString(w, body) // the client may be gone
		})
	}
}

// Interrupt calls act after a percentage of the body; with repeat, after each such part.
func Interrupt(percent int, repeat bool, act func(*http.Request)) Fault {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			next.ServeHTTP(&interrupter{ResponseWriter: w, percent: percent, repeat: repeat, act: func() { act(r) }}, r)
		})
	}
}

// interrupter calls act when a part of the announced body has been written.
type interrupter struct {
	http.ResponseWriter
	percent int
	repeat  bool
	act     func()

	begun bool
	left  int64 // bytes until act; negative for never
	part  int64 // bytes
}

// Write writes p and flushes it up to each point where act is called.
func (i *interrupter) Write(p []byte) (int, error) {
	i.begin()
	written := 0
	for i.left >= 0 && int64(len(p)-written) >= i.left {
		n, err := i.ResponseWriter.Write(p[written : written+int(i.left)])
		written += n
		if err != nil {
			return written, err
		}
		i.interrupt()
	}
	n, err := i.ResponseWriter.Write(p[written:])
	i.left -= int64(n)
	return written + n, err
}

func (i *interrupter) begin() {
	if i.begun {
		return
	}
	i.begun = true
	length, err := strconv.ParseInt(i.Header().Get("Content-Length"), 10, 64)
	if err != nil {
		length = 0
	}
	i.part = length * int64(i.percent) / 100
	i.left = i.part
}

func (i *interrupter) interrupt() {
	_ = http.NewResponseController(i.ResponseWriter).Flush() // the client may be gone
	i.act()
	i.left = -1
	if i.repeat {
		i.left = max(i.part, 1)
	}
}
