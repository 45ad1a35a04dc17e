package fetch_test

import (
	"bytes"
	"compress/gzip"
	"crypto/tls"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// statuses are hosts that answer with another status than 200.
func statuses(f *hostFiles) []misbehaviour {
	wait := func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Retry-After", "1")
		status(http.StatusTooManyRequests)(w, r)
	}
	hints := func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusEarlyHints)
		w.WriteHeader(http.StatusProcessing)
		f.send(w, r)
	}
	return []misbehaviour{
		{name: "status 404 before the file is there", answer: f.once(status(404)), want: "hold expired, stored"},
		{name: "status 403 before the file is there", answer: f.once(status(403)), want: "hold expired, stored"},
		{name: "status 404 for ever", answer: always(status(404)), old: true, want: "fail expired"},
		{name: "status 403 for ever", answer: always(status(403)), old: true, want: "fail expired"},
		{name: "status 410 for ever", answer: always(status(410)), old: true, want: "fail expired"},
		{name: "status 401", answer: always(status(401)), want: "fail auth"},
		{name: "status 400", answer: always(status(400)), want: "fail other"},
		{name: "status 406", answer: always(status(406)), want: "fail other"},
		{name: "status 407", answer: always(status(407)), want: "fail auth"},
		{name: "status 451", answer: always(status(451)), want: "fail other"},
		{name: "status 429 with Retry-After", answer: f.once(wait), want: "retry rate_limited, stored"},
		{name: "status 425", answer: f.once(status(425)), want: "retry rate_limited, stored"},
		{name: "status 408", answer: f.once(status(408)), want: "retry timeout, stored"},
		{name: "status 500", answer: f.once(status(500)), want: "retry server_error, stored"},
		{name: "status 502 of a proxy", answer: f.once(status(502)), want: "retry server_error, stored"},
		{name: "status 503 for long", answer: always(status(503)), want: "retry server_error, retry server_error, retry server_error"},
		{name: "status 999", answer: f.once(status(999)), want: "retry server_error, stored"},
		{name: "status 202 while the file is made", answer: f.once(status(202)), want: "retry other, stored"},
		{name: "status 203 of a proxy", answer: f.once(status(203)), want: "retry other, stored"},
		{name: "status 204", answer: f.once(status(204)), want: "retry truncated, stored"},
		{name: "status 300", answer: f.once(status(300)), want: "retry other, stored"},
		{name: "status 304 that was not requested", answer: f.once(status(304)), want: "retry other, stored"},
		{name: "status 409", answer: f.once(status(409)), want: "retry other, stored"},
		{name: "status 418", answer: f.once(status(418)), want: "retry other, stored"},
		{name: "status 423", answer: f.once(status(423)), want: "retry other, stored"},
		{name: "status 101", raw: f.rawOnce("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n"), want: "retry other, stored"},
		{name: "status of two digits", raw: f.rawOnce("HTTP/1.1 20 OK\r\n\r\n"), want: "retry other, stored"},
		{name: "statuses 103 and 102 before 200", answer: always(hints), want: "stored"},
		{name: "status line of no protocol", raw: f.rawOnce("ICY 200 OK\r\n\r\n%s"), want: "retry other, stored"},
		{name: "no status line", raw: f.rawOnce("%s"), want: "retry other, stored"},
	}
}

// redirects are hosts that redirect.
func redirects(f *hostFiles) []misbehaviour {
	to := func(location string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			_, port, _ := net.SplitHostPort(r.Host)
			w.Header().Set("Location", strings.ReplaceAll(location, "PORT", port))
			w.WriteHeader(http.StatusFound)
		}
	}
	count := func(n int) func(w http.ResponseWriter, r *http.Request, _ int) {
		return func(w http.ResponseWriter, r *http.Request, _ int) {
			if done, _ := strconv.Atoi(r.URL.Query().Get("n")); done < n {
				to(fmt.Sprintf("/image.png?n=%d", done+1))(w, r)
				return
			}
			f.send(w, r)
		}
	}
	return []misbehaviour{
		{name: "five redirects", answer: count(5), want: "stored"},
		{name: "six redirects", answer: count(6), want: "retry other"},
		{name: "redirect to itself", answer: always(to("/image.png")), want: "retry other, retry other"},
		{name: "redirect to a raw blank, an umlaut and a stray percent sign", answer: f.once(to("/Grüße 50%.png")), want: "stored"},
		{name: "redirect without Location", answer: f.once(status(302)), want: "retry other, stored"},
		{name: "redirect to plain http", answer: always(to("http://example.com:PORT/image.png")), want: "defer host_not_allowed"},
		{name: "redirect to a file", answer: always(to("file:///etc/passwd")), want: "retry other"},
		{name: "redirect to a host that is not allowed", answer: always(to("https://other.example:PORT/")), want: "defer host_not_allowed"},
		{name: "redirect to a private address", answer: always(to("https://10.0.0.1:PORT/")), want: "defer host_not_allowed"},
		{name: "redirect to a name that leads inside", answer: always(to("https://inside.test:PORT/")), want: "fail blocked_address"},
		{name: "redirect with credentials", answer: always(to("https://user:password@example.com:PORT/")), want: "retry other"},
	}
}

// lengths are hosts whose Content-Length is not that of the body.
func lengths(f *hostFiles) []misbehaviour {
	half := len(f.png) / 2
	head := "HTTP/1.1 200 OK\r\nConnection: close\r\n"
	return []misbehaviour{
		{name: "length too small", raw: f.rawOnce(fmt.Sprintf(head+"Content-Length: %d\r\n\r\n%%s", half)), want: "retry truncated, stored"},
		{name: "length too large", raw: f.rawOnce(fmt.Sprintf(head+"Content-Length: %d\r\n\r\n%%s", len(f.png)+1)), want: "retry truncated, stored"},
		{name: "length 0", raw: f.rawOnce(head + "Content-Length: 0\r\n\r\n%s"), want: "retry truncated, stored"},
		{name: "two lengths", raw: f.rawOnce(head + "Content-Length: 5\r\nContent-Length: 6\r\n\r\n%s"), want: "retry other, stored"},
		{name: "negative length", raw: f.rawOnce(head + "Content-Length: -5\r\n\r\n%s"), want: "retry other, stored"},
		{name: "length beyond the limit", raw: f.rawOnce(head + "Content-Length: 9000000000\r\n\r\n%s"), want: "fail too_large"},
		{name: "no length, closed", raw: f.rawOnce(head + "\r\n%s"), want: "stored"},
		{name: "HTTP/1.0 without a length, cut", raw: f.rawOnce("HTTP/1.0 200 OK\r\n\r\n" + string(f.png[:half])), want: "retry truncated, stored"},
		{name: "chunks without an end", raw: f.rawOnce(fmt.Sprintf(head+"Transfer-Encoding: chunked\r\n\r\n%x\r\n%%s\r\n", len(f.png))), want: "retry truncated, stored"},
		{name: "chunk of no size", raw: f.rawOnce(head + "Transfer-Encoding: chunked\r\n\r\nzz\r\n%s"), want: "retry other, stored"},
		{name: "unknown transfer coding", raw: f.rawOnce(head + "Transfer-Encoding: gzip\r\n\r\n%s"), want: "retry other, stored"},
		{name: "no body", raw: f.rawOnce(head + "\r\n"), want: "retry truncated, stored"},
		{name: "announced whole, half of the image", answer: f.once(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(f.png[:half]) }), want: "retry truncated, stored"},
	}
}

// codings are hosts that encode the image, or say so.
func codings(f *hostFiles) []misbehaviour {
	coded := func(coding string, body []byte) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Encoding", coding)
			w.Header().Set("Content-Length", strconv.Itoa(len(body)))
			_, _ = w.Write(body)
		}
	}
	zip := func(content io.Reader) []byte {
		var zipped bytes.Buffer
		writer := gzip.NewWriter(&zipped)
		_, _ = io.Copy(writer, content)
		_ = writer.Close()
		return zipped.Bytes()
	}
	zipped := zip(bytes.NewReader(f.png))
	bomb := zip(io.LimitReader(zeros{}, 64<<20))
	return []misbehaviour{
		{name: "gzip that was not requested", answer: always(coded("gzip", zipped)), want: "stored"},
		{name: "gzip of nothing but the name", answer: always(coded("gzip", f.png)), want: "stored"},
		{name: "gzip, cut", answer: f.once(coded("gzip", zipped[:len(zipped)/2])), want: "retry truncated, stored"},
		{name: "gzip bomb", answer: always(coded("gzip", bomb)), want: "fail too_large"},
		{name: "coding aws-chunked over plain bytes", answer: always(coded("aws-chunked", f.png)), want: "stored"},
		{name: "unknown coding", answer: f.once(coded("br", noise(len(f.png)))), want: "retry wrong_type, stored"},
		{name: "B2 base64", answer: always(coded("base64", []byte(base64.StdEncoding.EncodeToString(f.png)))), want: "fail wrong_type"},
	}
}

// zeros has zeros without end.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// breaks are hosts that break the connection.
func breaks(f *hostFiles) []misbehaviour {
	half := len(f.png) / 2
	file := func(etag string, cut int) string {
		return fmt.Sprintf("HTTP/1.1 200 OK\r\nETag: %s\r\nContent-Length: %d\r\n\r\n%s", etag, len(f.png), f.png[:cut])
	}
	reset := func(text string) func(conn net.Conn, n int) {
		rest := f.rawOnce("")
		return func(conn net.Conn, n int) {
			if n == 0 {
				_, _ = io.WriteString(conn, text)
				resetConnection(conn)
				return
			}
			rest(conn, n)
		}
	}
	hello := func(end func(conn net.Conn)) func(conn net.Conn, n int) {
		return func(conn net.Conn, _ int) {
			_, _ = conn.Read(make([]byte, 4096))
			end(conn)
		}
	}
	return []misbehaviour{
		{name: "closed in the handshake", tcp: hello(func(conn net.Conn) { _ = conn.Close() }), want: "retry other"},
		{name: "reset in the handshake", tcp: hello(resetConnection), want: "retry other"},
		{name: "closed after the request", raw: f.rawOnce(""), want: "retry other, stored"},
		{name: "reset after the request", raw: reset(""), want: "retry other, stored"},
		{name: "reset in the header section", raw: reset("HTTP/1.1 200 OK\r\nContent-Le"), want: "retry other, stored"},
		{name: "reset at half", raw: reset(file("", half)), want: "retry other, stored"},
		{name: "closed at half", raw: f.rawOnce(file("", half)), want: "retry truncated, stored"},
		{name: "closed at half, weak ETag", raw: f.rawOnce(file(`W/"1"`, half)), want: "retry truncated, stored"},
		{name: "closed before the last byte", raw: f.rawOnce(file("", len(f.png)-1)), want: "retry truncated, stored"},
		{name: "closed at each kilobyte", answer: f.interrupted(1<<10, `"1"`), want: "retry truncated"},
	}
}

// resetConnection closes a connection so that the other side gets a reset.
func resetConnection(conn net.Conn) {
	if secure, ok := conn.(interface{ NetConn() net.Conn }); ok {
		conn = secure.NetConn()
	}
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
		_ = tcp.Close()
	}
}

// interrupted sends a piece of the image, or of the range that was requested, and closes the connection.
func (f *hostFiles) interrupted(piece int, etag string) func(w http.ResponseWriter, r *http.Request, n int) {
	return func(w http.ResponseWriter, r *http.Request, _ int) {
		w.Header().Set("ETag", etag)
		f.send(&cutWriter{ResponseWriter: w, left: piece}, r)
		panic(http.ErrAbortHandler)
	}
}

// cutWriter drops what follows the first bytes.
type cutWriter struct {
	http.ResponseWriter
	left int
}

func (c *cutWriter) Write(p []byte) (int, error) {
	n, err := c.ResponseWriter.Write(p[:min(len(p), c.left)])
	c.left -= n
	_ = http.NewResponseController(c.ResponseWriter).Flush()
	return len(p), err
}

// slowness are hosts that are slow or silent.
func slowness(f *hostFiles) []misbehaviour {
	silent := func(conn net.Conn, _ int) { _, _ = io.Copy(io.Discard, conn) }
	wait := func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }
	drip := func(head string) func(conn net.Conn, n int) {
		rest := f.rawOnce("")
		return func(conn net.Conn, n int) {
			if n > 0 {
				rest(conn, n)
				return
			}
			_, err := io.WriteString(conn, head)
			for ticker := time.NewTicker(20 * time.Millisecond); err == nil; <-ticker.C {
				_, err = io.WriteString(conn, "x")
			}
		}
	}
	stalled := func(etag string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("ETag", etag)
			f.send(&cutWriter{ResponseWriter: w, left: len(f.png) / 2}, r)
			<-r.Context().Done()
		}
	}
	resumed := func(w http.ResponseWriter, r *http.Request, n int) {
		w.Header().Set("ETag", `"1"`)
		f.once(stalled(`"1"`))(w, r, n)
	}
	return []misbehaviour{
		{name: "silent before the handshake", tcp: silent, quick: true, want: "retry timeout"},
		{name: "silent after the request", answer: f.once(wait), quick: true, want: "retry timeout, stored"},
		{name: "header section byte by byte", raw: drip("HTTP/1.1 200 OK\r\nX: "), quick: true, want: "retry timeout, stored"},
		{name: "body byte by byte", raw: drip("HTTP/1.1 200 OK\r\nContent-Length: 90000\r\n\r\n"), quick: true, want: "retry timeout, stored"},
		{name: "body that stalls at half", answer: f.once(stalled("")), quick: true, want: "retry timeout, stored"},
		{name: "body that stalls at half, with an ETag", answer: resumed, quick: true, want: "stored"},
	}
}

// ranges are hosts that break the transfer and lie when the rest is requested.
func ranges(f *hostFiles) []misbehaviour {
	half := len(f.png) / 2
	// broken breaks at half with an ETag, then answers the request for the rest, and then sends the image.
	broken := func(rest http.HandlerFunc) func(w http.ResponseWriter, r *http.Request, n int) {
		return func(w http.ResponseWriter, r *http.Request, n int) {
			w.Header().Set("ETag", `"1"`)
			switch n {
			case 0:
				f.interrupted(half, `"1"`)(w, r, n)
			case 1:
				rest(w, r)
			default:
				f.send(w, r)
			}
		}
	}
	part := func(etag, contentRange string, body []byte) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("ETag", etag)
			w.Header().Set("Content-Range", contentRange)
			w.Header().Set("Content-Length", strconv.Itoa(len(body)))
			w.WriteHeader(http.StatusPartialContent)
			_, _ = w.Write(body)
		}
	}
	from := half - 1<<10 // the overlap is requested again
	rest := func(first int) string { return fmt.Sprintf("bytes %d-%d/%d", first, len(f.png)-1, len(f.png)) }
	other := bytes.Clone(f.png[from:])
	other[0] ^= 1
	whole := func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(f.png) }
	return []misbehaviour{
		{name: "rest as requested", answer: broken(f.send), want: "stored"},
		{name: "rest of another file with the same ETag", answer: broken(part(`"1"`, rest(from), other)), want: "retry truncated, stored"},
		{name: "rest with another ETag", answer: broken(part(`"2"`, rest(from), f.png[from:])), want: "retry truncated, stored"},
		{name: "rest from another offset", answer: broken(part(`"1"`, rest(from+1), f.png[from+1:])), want: "retry truncated, stored"},
		{name: "rest of another length", answer: broken(part(`"1"`, fmt.Sprintf("bytes %d-%d/%d", from, len(f.png), len(f.png)+1), f.png[from:])), want: "retry truncated, stored"},
		{name: "rest without Content-Range", answer: broken(part(`"1"`, "", f.png[from:])), want: "retry truncated, stored"},
		{name: "rest of several ranges", answer: broken(part(`"1"`, "multipart/byteranges", f.png[from:])), want: "retry truncated, stored"},
		{name: "whole file instead of the rest", answer: broken(whole), want: "retry truncated, stored"},
		{name: "status 416 instead of the rest", answer: broken(status(416)), want: "retry truncated, stored"},
		{name: "status 503 instead of the rest", answer: broken(status(503)), want: "retry server_error, stored"},
		{name: "part that was not requested", answer: f.once(part(`"1"`, fmt.Sprintf("bytes 0-%d/%d", half-1, len(f.png)), f.png[:half])), want: "retry truncated, stored"},
	}
}

// contents are hosts that send something else.
func contents(f *hostFiles) []misbehaviour {
	send := func(mediaType, body string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", mediaType)
			_, _ = io.WriteString(w, body)
		}
	}
	huge := bytes.Clone(f.png)
	copy(huge[16:], "\x00\x01\x00\x00\x00\x01\x00\x00") // width and height
	binary.BigEndian.PutUint32(huge[29:], crc32.ChecksumIEEE(huge[12:29]))
	return []misbehaviour{
		{name: "HTML with status 200", answer: f.once(send("text/html", "<!DOCTYPE html><html><body>Sorry</body></html>")), want: "retry wrong_type, stored"},
		{name: "JSON with status 200", answer: f.once(send("application/json", `{"error":"not ready"}`)), want: "retry wrong_type, stored"},
		{name: "XML with status 200", answer: f.once(send("application/xml", `<?xml version="1.0"?><Error><Code>SlowDown</Code></Error>`)), want: "retry wrong_type, stored"},
		{name: "PDF", answer: always(send("image/png", "%PDF-1.4\n1 0 obj\n<< >>\nendobj\n%%EOF\n")), want: "fail wrong_type"},
		{name: "ZIP", answer: always(send("image/png", "PK\x03\x04\x14\x00\x00\x00\x08\x00"+strings.Repeat("x", 40))), want: "fail wrong_type"},
		{name: "noise", answer: f.once(send("image/png", string(noise(4096)))), want: "retry wrong_type, stored"},
		{name: "image as text/html", answer: always(send("text/html", string(f.png))), want: "stored"},
		{name: "more pixels than allowed", answer: always(send("image/png", string(huge))), want: "fail too_large"},
		{name: "JPEG, cut", answer: f.once(send("image/jpeg", string(f.jpeg[:len(f.jpeg)/2]))), want: "retry truncated, stored"},
		{name: "JPEG without its end marker, twice", answer: always(send("image/jpeg", string(f.jpeg[:len(f.jpeg)-2]))), want: "stored"},
		{name: "empty file", answer: f.once(func(http.ResponseWriter, *http.Request) {}), want: "retry truncated, stored"},
	}
}

// endlessness are hosts that never stop.
func endlessness(f *hostFiles) []misbehaviour {
	endless := func(head, piece string) func(conn net.Conn, n int) {
		return func(conn net.Conn, _ int) {
			_, err := io.WriteString(conn, head)
			for err == nil {
				_, err = io.WriteString(conn, piece)
			}
		}
	}
	return []misbehaviour{
		{name: "endless header section", raw: endless("HTTP/1.1 200 OK\r\n", "X: "+strings.Repeat("x", 1000)+"\r\n"), want: "retry other"},
		{name: "endless header", raw: endless("HTTP/1.1 200 OK\r\nX: ", strings.Repeat("x", 1000)), want: "retry other"},
		{name: "header section of 100 KB", raw: f.rawOnce("HTTP/1.1 200 OK\r\nX: " + strings.Repeat("x", 100_000) + "\r\n\r\n%s"), want: "retry other, stored"},
		{name: "endless status 103", raw: endless("", "HTTP/1.1 103 Early Hints\r\n\r\n"), want: "retry other"},
		{name: "endless body", raw: endless("HTTP/1.1 200 OK\r\n\r\n", strings.Repeat("x", 1000)), want: "fail too_large"},
		{name: "endless chunks", raw: endless("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "5\r\nxxxxx\r\n"), want: "fail too_large"},
		{name: "endless body of an error", raw: endless("HTTP/1.1 503 Sorry\r\n\r\n", "sorry "), want: "retry server_error"},
	}
}

// protocols are hosts whose HTTP/2 fails.
func protocols(f *hostFiles) []misbehaviour {
	half := len(f.png) / 2
	resetStreams := func(after int) func(w http.ResponseWriter, r *http.Request, n int) {
		return func(w http.ResponseWriter, r *http.Request, _ int) {
			if r.ProtoMajor == 1 {
				f.send(w, r)
				return
			}
			if after > 0 {
				f.send(&cutWriter{ResponseWriter: w, left: after}, r)
			}
			panic(http.ErrAbortHandler)
		}
	}
	speaksHTTP1 := func(c *tls.Config) { c.NextProtos = []string{"h2", "http/1.1"} }
	return []misbehaviour{
		{name: "HTTP/2", http2: true, want: "stored"},
		{name: "HTTP/2, each stream is reset at once", http2: true, answer: resetStreams(0), want: "stored"},
		{name: "HTTP/2, each stream is reset at half", http2: true, answer: resetStreams(half), want: "retry other, retry other, stored"},
		{name: "HTTP/2, one stream is reset at half", http2: true, answer: f.once(func(w http.ResponseWriter, r *http.Request) { resetStreams(half)(w, r, 0) }), want: "retry other, stored"},
		{name: "HTTP/2 negotiated, HTTP/1.1 spoken", tls: speaksHTTP1, raw: f.rawOnce("HTTP/1.1 200 OK\r\n\r\n%s"), want: "stored"},
	}
}

// addresses are hosts whose name leads elsewhere.
func addresses(*hostFiles) []misbehaviour {
	return []misbehaviour{
		{name: "name that is not known", url: "https://unknown.test:PORT/image.png", want: "retry unreachable"},
		{name: "name of a private address", dns: "10.0.0.1", want: "fail blocked_address"},
		{name: "name of the metadata address", dns: "169.254.169.254", want: "fail blocked_address"},
		{name: "name of 0.0.0.0", dns: "0.0.0.0", want: "fail blocked_address"},
		{name: "name of several private addresses", dns: "10.0.0.1,192.168.0.1", want: "fail blocked_address"},
		{name: "first address is private", dns: "10.0.0.1,127.0.0.1", want: "stored"},
		{name: "first addresses refuse", dns: "127.0.0.2,127.0.0.3,127.0.0.1", want: "stored"},
		{name: "all addresses refuse", dns: "127.0.0.2,127.0.0.3", want: "retry unreachable"},
		{name: "port that refuses", url: "https://example.com:1/image.png", want: "retry unreachable"},
		{name: "address in another notation", url: "https://2130706433:PORT/image.png", want: "defer host_not_allowed"},
		{name: "host that is not allowed", url: "https://other.example:PORT/image.png", want: "defer host_not_allowed"},
		{name: "localhost, as in the vendor's documentation", url: "https://localhost:PORT/image.png", want: "fail host_not_allowed"},
	}
}

// certificates are hosts whose TLS fails.
func certificates(f *hostFiles) []misbehaviour {
	hello := func(text string) func(conn net.Conn, n int) {
		return func(conn net.Conn, _ int) {
			_, _ = conn.Read(make([]byte, 4096))
			_, _ = io.WriteString(conn, text)
		}
	}
	return []misbehaviour{
		{name: "certificate that has expired", tls: func(c *tls.Config) { c.Certificates = []tls.Certificate{f.expired} }, want: "retry unreachable"},
		{name: "certificate of another host", url: "https://wrong.test:PORT/image.png", want: "retry unreachable"},
		{name: "TLS 1.1", tls: func(c *tls.Config) { c.MaxVersion = tls.VersionTLS11 }, want: "retry unreachable"},
		{name: "TLS 1.2", tls: func(c *tls.Config) { c.MaxVersion = tls.VersionTLS12 }, want: "stored"},
		{name: "client certificate demanded, TLS 1.3", tls: func(c *tls.Config) { c.ClientAuth = tls.RequireAnyClientCert }, want: "retry unreachable"},
		{name: "client certificate demanded, TLS 1.2", tls: func(c *tls.Config) {
			c.MaxVersion, c.ClientAuth = tls.VersionTLS12, tls.RequireAnyClientCert
		}, want: "retry unreachable"},
		{name: "no common protocol", tls: func(c *tls.Config) { c.NextProtos = []string{"smtp"} }, want: "retry unreachable"},
		{name: "plain HTTP at the port of TLS", plain: true, want: "retry unreachable"},
		{name: "SSH at the port of TLS", tcp: hello("SSH-2.0-OpenSSH_9.2\r\n"), want: "retry unreachable"},
		{name: "TLS alert", tcp: hello("\x15\x03\x01\x00\x02\x02\x28"), want: "retry unreachable"},
	}
}

// urls are hosts whose result URLs are not well formed.
func urls(*hostFiles) []misbehaviour {
	return []misbehaviour{
		{name: "white space around the URL", url: " \n\thttps://example.com:PORT/image.png \r\n", want: "stored"},
		{name: "stray percent sign in the URL", url: "https://example.com:PORT/50%.png?x=100%", want: "stored"},
		{name: "raw blank and umlaut in the URL", url: "https://example.com:PORT/Grüße 1.png?q=ü x", want: "stored"},
		{name: "upper case and a final dot in the URL", url: "HTTPS://EXAMPLE.com.:PORT/image.png", want: "stored"},
		{name: "international name in the URL", url: "https://unbekannt-ü.test:PORT/image.png", want: "retry unreachable"},
		{name: "credentials in the URL", url: "https://user:password@example.com:PORT/image.png", want: "fail other"},
		{name: "plain http in the URL", url: "http://example.com:PORT/image.png", want: "defer host_not_allowed"},
		{name: "storage that no one can fetch", url: "storage://bucket/image.png", want: "fail no_result"},
	}
}
