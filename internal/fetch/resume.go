package fetch

import (
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

// matches reports whether a partial response is of the same file. It must repeat an ETag, but need not repeat a date.
func (v validator) matches(header http.Header) bool {
	if v[0] == '"' {
		return header.Get("ETag") == string(v)
	}
	modified := header.Get("Last-Modified")
	return modified == "" || modified == string(v)
}

// condition requests the rest of a file from an offset on, if the file is the same. The zero value requests all of it.
type condition struct {
	from int64
	same validator
}

func (c condition) add(header http.Header) {
	if c.from == 0 {
		return
	}
	header.Set("Range", "bytes="+strconv.FormatInt(c.from, 10)+"-")
	header.Set("If-Range", string(c.same))
}

// checkRest accepts only the exact rest of the file and returns the length of the whole. known is that length if it was
// announced before.
func (c condition) checkRest(response *http.Response, known int64) (total int64, err error) {
	host := response.Request.URL.Hostname()
	switch response.StatusCode {
	case http.StatusPartialContent:
	case http.StatusOK, http.StatusRequestedRangeNotSatisfiable, http.StatusPreconditionFailed:
		return 0, failf(KindTruncated, "the file changed during the transfer from the host %s", host)
	default:
		return 0, statusFailure(response)
	}
	if isGzip(response.Header) {
		return 0, failf(KindEncoding, "the host %s sends the rest of the file with a Content-Encoding that was not requested", host)
	}
	total, exact := c.rest(response.Header)
	if !exact || known != unknown && total != known || !c.same.matches(response.Header) {
		return 0, failf(KindTruncated, "the host %s sends a part that is not the rest of the file", host)
	}
	return total, nil
}

// rest returns the length of the whole file if the response is all of it from c.from on.
func (c condition) rest(header http.Header) (total int64, exact bool) {
	ranges := header.Values("Content-Range")
	if len(ranges) != 1 {
		return 0, false
	}
	first, last, total, valid := parseContentRange(ranges[0])
	return total, valid && first == c.from && last == total-1
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
