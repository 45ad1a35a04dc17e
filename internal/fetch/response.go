package fetch

import (
	"bufio"
	"compress/gzip"
	"errors"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/deepimage-receiver/receiver/internal/httpclient"
)

// checkResponse accepts only a whole file: status 200, not encoded, and an announced length of 1 to limit bytes, if any.
func checkResponse(response *http.Response, limit int64) error {
	host := response.Request.URL.Hostname()
	switch {
	case response.StatusCode != http.StatusOK:
		return statusFailure(response)
	case response.ContentLength == 0:
		return failf(KindTruncated, "the host %s sends an empty file", host)
	case response.ContentLength > limit:
		return failf(KindTooLarge, "the file has %d bytes, more than the allowed %d", response.ContentLength, limit)
	}
	return nil
}

func statusFailure(response *http.Response) error {
	host, status := response.Request.URL.Hostname(), response.StatusCode
	switch status {
	case http.StatusPartialContent:
		return failf(KindTruncated, "the host %s sends a part of the file, but the whole file was requested", host)
	case http.StatusNoContent, http.StatusResetContent:
		return failf(KindTruncated, "the host %s answers without content", host)
	}
	failed := failf(KindStatus, "%s answers %d %s", redacted(response.Request.URL), status, http.StatusText(status))
	failed.Text = strings.TrimSpace(failed.Text)
	failed.Status = status
	failed.RetryAfter = httpclient.RetryAfter(response.Header, time.Now())
	return failed
}

// readHead returns the beginning of the body of an error. What cannot be read in time is left out.
func readHead(response *http.Response, guard *stallGuard) []byte {
	timer := time.AfterFunc(guard.limits.errorBody, guard.end)
	defer timer.Stop()
	var body io.Reader = response.Body
	if isGzip(response.Header) {
		body = &gunzip{body: bufio.NewReader(body)}
	}
	head, _, _ := httpclient.ReadAtMost(body, headBytes)
	return head
}

// isGzip reports whether the body claims to be compressed with gzip. Other codings are ignored: servers name many over plain
// bytes, such as aws-chunked, and the first bytes of the file decide what it is.
func isGzip(header http.Header) bool {
	for _, value := range header.Values("Content-Encoding") {
		for coding := range strings.SplitSeq(value, ",") {
			if coding = strings.ToLower(strings.TrimSpace(coding)); coding == "gzip" || coding == "x-gzip" {
				return true
			}
		}
	}
	return false
}

// gunzip decompresses a body that begins as gzip does, and returns any other as it is.
type gunzip struct {
	body    *bufio.Reader
	decoded io.Reader // nil before the first read
}

// Read reads decoded bytes. An error of the compression is io.ErrUnexpectedEOF, as for a body that ends too early.
func (g *gunzip) Read(p []byte) (int, error) {
	if g.decoded == nil {
		g.decoded = g.body
		if magic, _ := g.body.Peek(2); len(magic) == 2 && magic[0] == 0x1f && magic[1] == 0x8b {
			reader, err := gzip.NewReader(g.body)
			if err != nil {
				return 0, io.ErrUnexpectedEOF
			}
			g.decoded = reader
		}
	}
	n, err := g.decoded.Read(p)
	if errors.Is(err, gzip.ErrChecksum) || errors.Is(err, gzip.ErrHeader) {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}
