package fetch

import (
	"bytes"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// validator is the value of If-Range: a strong ETag in its quotes, or a date. It is "" if the server sent none that
// identifies the file.
type validator string

// validatorOf follows RFC 9110: an ETag that is not weak, or, only without any ETag, a Last-Modified that is at least a
// minute older than the response's Date.
func validatorOf(header http.Header) validator {
	if strings.EqualFold(strings.TrimSpace(header.Get("Accept-Ranges")), "none") {
		return ""
	}
	if tag := header.Get("ETag"); tag != "" {
		if isStrongTag(tag) {
			return validator(tag)
		}
		return ""
	}
	modified, errModified := http.ParseTime(header.Get("Last-Modified"))
	date, errDate := http.ParseTime(header.Get("Date"))
	if errModified != nil || errDate != nil || date.Sub(modified) < time.Minute {
		return ""
	}
	return validator(header.Get("Last-Modified"))
}

func isStrongTag(tag string) bool {
	if len(tag) < 2 || tag[0] != '"' || tag[len(tag)-1] != '"' {
		return false
	}
	return !strings.ContainsFunc(tag[1:len(tag)-1], func(r rune) bool { return r <= ' ' || r == '"' || r == 0x7f })
}

// matches reports whether a response repeats the validator.
func (v validator) matches(header http.Header) bool {
	if v[0] == '"' {
		return header.Get("ETag") == string(v)
	}
	return header.Get("Last-Modified") == string(v)
}

// condition requests the rest of a file from an offset on, if the file is the same. The zero value requests all of it.
type condition struct {
	from int64
	same validator // "" for the whole file
}

func (c condition) add(header http.Header) {
	if c.same == "" {
		return
	}
	header.Set("Range", "bytes="+strconv.FormatInt(c.from, 10)+"-")
	header.Set("If-Range", string(c.same))
}

// checkRest accepts only the exact rest of a file of total bytes with the same validator. If the rest is the whole file, a
// response without a range is as good.
func (c condition) checkRest(response *http.Response, total int64) error {
	host := response.Request.URL.Hostname()
	whole := response.StatusCode == http.StatusOK && c.from == 0
	switch {
	case response.StatusCode == http.StatusPartialContent, whole:
	case response.StatusCode == http.StatusOK,
		response.StatusCode == http.StatusRequestedRangeNotSatisfiable, response.StatusCode == http.StatusPreconditionFailed:
		return changed(host)
	default:
		return statusFailure(response)
	}
	if isGzip(response.Header) {
		return failf(KindEncoding, "the host %s sends the rest of the file with a Content-Encoding that was not requested", host)
	}
	exact := whole && response.ContentLength == total || !whole && c.isRest(response.Header, total)
	if !exact || !c.same.matches(response.Header) {
		return failf(KindTruncated, "the host %s sends a part that is not the rest of the file", host)
	}
	return nil
}

func changed(host string) *Error {
	return failf(KindTruncated, "the file changed during the transfer from the host %s", host)
}

// isRest reports whether the response is all of a file of length bytes from c.from on.
func (c condition) isRest(header http.Header, length int64) bool {
	ranges := header.Values("Content-Range")
	if len(ranges) != 1 {
		return false
	}
	first, last, total, valid := parseContentRange(ranges[0])
	return valid && first == c.from && last == total-1 && total == length
}

// tail is the end of what was received, as a ring: the byte at an offset of the file is at that offset modulo the ring's
// length. A rest that begins with the same bytes is taken to be of the same file.
type tail []byte

// newTail returns a tail for a file of total bytes.
func newTail(total, overlap int64) tail { return make(tail, min(total, overlap)) }

// add records a piece that begins at an offset of the file. A nil tail records nothing.
func (t tail) add(offset int64, piece []byte) {
	for len(t) > 0 && len(piece) > 0 {
		n := copy(t[offset%int64(len(t)):], piece)
		piece, offset = piece[n:], offset+int64(n)
	}
}

// holds reports whether the piece at an offset equals what was recorded there.
func (t tail) holds(offset int64, piece []byte) bool {
	for len(piece) > 0 {
		known := t[offset%int64(len(t)):]
		n := min(len(known), len(piece))
		if !bytes.Equal(known[:n], piece[:n]) {
			return false
		}
		piece, offset = piece[n:], offset+int64(n)
	}
	return true
}

// parseContentRange parses "bytes 5-9/10". An unknown length ("*") is not valid.
func parseContentRange(value string) (first, last, total int64, valid bool) {
	unit, rest, _ := strings.Cut(strings.TrimSpace(value), " ")
	span, length, _ := strings.Cut(rest, "/")
	from, to, _ := strings.Cut(span, "-")
	first, validFirst := parseLength(from)
	last, validLast := parseLength(to)
	total, validTotal := parseLength(length)
	valid = strings.EqualFold(unit, "bytes") && validFirst && validLast && validTotal && first <= last && last < total
	return first, last, total, valid
}

// parseLength parses decimal digits only.
func parseLength(digits string) (int64, bool) {
	n, err := strconv.ParseUint(digits, 10, 63)
	return int64(n), err == nil
}
