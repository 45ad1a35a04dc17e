package fetch_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"image"
	"image/jpeg"
	"image/png"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/deepimage-receiver/receiver/internal/configtypes"
	"github.com/deepimage-receiver/receiver/internal/event"
	"github.com/deepimage-receiver/receiver/internal/fetch"
	"github.com/deepimage-receiver/receiver/internal/handler"
	"github.com/deepimage-receiver/receiver/internal/handler/download"
	"github.com/rs/zerolog"
)

// misbehaviour is one way in which the host of an image misbehaves. The host is example.com, which speaks TLS on loopback.
type misbehaviour struct {
	name string

	// What the host does: one of these. n counts requests, or connections, from 0. Without any it sends the image.
	answer func(w http.ResponseWriter, r *http.Request, n int)
	raw    func(conn net.Conn, n int) // after the handshake and the head of the request
	tcp    func(conn net.Conn, n int) // instead of the handshake

	tls   func(*tls.Config)
	http2 bool
	plain bool   // no TLS
	dns   string // address of example.com; 127.0.0.1 if empty
	url   string // with PORT for the port; https://example.com:PORT/image.png if empty
	old   bool   // the callback came an hour ago
	quick bool   // short deadlines: the wanted end is a timeout

	want string // the end of each attempt, such as "retry timeout, stored"
}

// misbehaviours is the whole script.
func misbehaviours(files *hostFiles) []misbehaviour {
	var all []misbehaviour
	for _, group := range []func(*hostFiles) []misbehaviour{
		statuses, redirects, lengths, codings, breaks, slowness, ranges, contents, endlessness, protocols, addresses, certificates, urls,
	} {
		all = append(all, group(files)...)
	}
	return all
}

// TestMisbehavingHosts runs the script through the client and the handler that stores images.
func TestMisbehavingHosts(t *testing.T) {
	t.Parallel()
	files := newFiles(t)
	rows := misbehaviours(files)
	const least = 57
	if len(rows) < least {
		t.Errorf("ways to misbehave = %d, want at least %d", len(rows), least)
	}
	names := map[string]bool{}
	for _, row := range rows {
		if names[row.name] {
			t.Errorf("name %q occurs twice, want it once", row.name)
		}
		names[row.name] = true
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			host := row.start(t, files)
			folder := t.TempDir()
			subject := host.handler(t, row, folder)
			e := host.event(t, row)
			var got []string
			var errs []error
			for range strings.SplitSeq(row.want, ", ") {
				ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
				outcome, err := subject.Handle(ctx, e)
				cancel()
				got, errs = append(got, end(outcome, err)), append(errs, err)
			}
			if ends := strings.Join(got, ", "); ends != row.want {
				t.Errorf("ends = %s, want %s; errors %v", ends, row.want, errs)
			}
			files.checkStored(t, folder, strings.HasSuffix(row.want, "stored"))
		})
	}
}

// end describes the end of an attempt.
func end(outcome handler.Outcome, err error) string {
	switch failure := handler.Classify(err); {
	case failure != nil:
		return fmt.Sprintf("%s %s", failure.Action, failure.Reason)
	case len(outcome.Artifacts) == 2:
		return "stored"
	default:
		return fmt.Sprintf("done with %d artifacts", len(outcome.Artifacts))
	}
}

// hostFiles are what hosts send.
type hostFiles struct {
	png, jpeg            []byte
	certificate, expired tls.Certificate
	roots                *x509.CertPool
}

func newFiles(t *testing.T) *hostFiles {
	t.Helper()
	picture := image.NewRGBA(image.Rect(0, 0, 160, 120))
	_, _ = rand.NewChaCha8([32]byte{2}).Read(picture.Pix)
	var asPNG, asJPEG bytes.Buffer
	if err := errors.Join(png.Encode(&asPNG, picture), jpeg.Encode(&asJPEG, picture, nil)); err != nil {
		t.Fatal(err)
	}
	server := httptest.NewUnstartedServer(http.NotFoundHandler())
	server.StartTLS()
	defer server.Close()
	roots := x509.NewCertPool()
	roots.AddCert(server.Certificate())
	return &hostFiles{png: asPNG.Bytes(), jpeg: asJPEG.Bytes(), certificate: server.TLS.Certificates[0], expired: expiredCertificate(t), roots: roots}
}

// checkStored wants the folder to hold one of the images whole, or none at all.
func (f *hostFiles) checkStored(t *testing.T, folder string, want bool) {
	t.Helper()
	images := 0
	err := filepath.WalkDir(folder, func(path string, entry os.DirEntry, err error) error {
		if err != nil || entry.IsDir() || entry.Name() == "lock" || entry.Name() == "event.json" {
			return err
		}
		content, err := os.ReadFile(path)
		images++
		if !bytes.Equal(content, f.png) && !bytes.HasPrefix(f.jpeg, content) {
			t.Errorf("stored %s with %d bytes, want a whole image", entry.Name(), len(content))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if images > 1 || (images == 1) != want {
		t.Errorf("stored images = %d, want one = %t", images, want)
	}
}

// misbehavingHost is a host that listens.
type misbehavingHost struct {
	port  string
	files *hostFiles
}

// start starts the host of a row.
func (m misbehaviour) start(t *testing.T, files *hostFiles) misbehavingHost {
	t.Helper()
	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(listener.Addr().String())
	config := &tls.Config{Certificates: []tls.Certificate{files.certificate}, MinVersion: tls.VersionTLS10, NextProtos: []string{"http/1.1"}}
	if m.http2 {
		config.NextProtos = []string{"h2", "http/1.1"}
	}
	if m.tls != nil {
		m.tls(config)
	}
	switch {
	case m.tcp != nil:
		serveConnections(t, listener, m.tcp)
	case m.raw != nil:
		serveConnections(t, tls.NewListener(listener, config), func(conn net.Conn, n int) { answerOne(conn, n, m.raw) })
	default:
		m.serveHTTP(t, listener, config, files)
	}
	return misbehavingHost{port: port, files: files}
}

// serveConnections serves each connection in a goroutine of its own.
func serveConnections(t *testing.T, listener net.Listener, serve func(conn net.Conn, n int)) {
	t.Helper()
	var group sync.WaitGroup
	var mutex sync.Mutex
	var open []net.Conn
	group.Go(func() {
		for n := 0; ; n++ {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			mutex.Lock()
			open = append(open, conn)
			mutex.Unlock()
			group.Go(func() { defer func() { _ = conn.Close() }(); serve(conn, n) })
		}
	})
	t.Cleanup(func() {
		_ = listener.Close()
		mutex.Lock()
		for _, conn := range open {
			_ = conn.Close()
		}
		mutex.Unlock()
		group.Wait()
	})
}

// serveHTTP serves the answers of a row, each on a connection of its own unless it speaks HTTP/2.
func (m misbehaviour) serveHTTP(t *testing.T, listener net.Listener, config *tls.Config, files *hostFiles) {
	t.Helper()
	var mutex sync.Mutex
	requests := 0
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mutex.Lock()
		n := requests
		requests++
		mutex.Unlock()
		if r.ProtoMajor == 1 {
			w.Header().Set("Connection", "close")
		}
		if m.answer == nil {
			files.send(w, r)
			return
		}
		m.answer(w, r, n)
	}))
	_ = server.Listener.Close()
	server.Listener, server.TLS, server.EnableHTTP2 = listener, config, m.http2
	server.Config.ErrorLog = silence()
	if m.plain {
		server.Start()
	} else {
		server.StartTLS()
	}
	t.Cleanup(func() { server.CloseClientConnections(); server.Close() })
}

// send sends the image, or the range that was requested.
func (f *hostFiles) send(w http.ResponseWriter, r *http.Request) {
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(f.png))
}

// handler returns the handler that stores images in a folder.
func (h misbehavingHost) handler(t *testing.T, m misbehaviour, folder string) *download.Handler {
	t.Helper()
	config := atHome()
	config.AllowHTTP = false
	records := []string{"example.com=127.0.0.1", "inside.test=10.0.0.1"}
	if m.dns != "" {
		records[0] = "example.com=" + m.dns
	}
	config.AllowedHosts = configtypes.List{"example.com", "*.test"}
	options := []fetch.Option{fetch.WithRootCAs(h.files.roots), fetch.WithResolver(fakeDNS(t, records...)), fetch.WithLimits(fetch.Limits{Overlap: 1 << 10})}
	if m.quick {
		const short = 250 * time.Millisecond
		options = append(options, fetch.WithLimits(fetch.Limits{
			Dial: short, Handshake: short, Header: short, Stall: short, ErrorBody: short, Window: 2 * short, Speed: 4 << 10, Overlap: 1 << 10,
		}))
	}
	deps := handler.Deps{Fetch: newClient(t, config, options...), Log: zerolog.Nop(), DefaultBucketURL: "file://" + folder, Redact: event.Redact}
	made, err := download.New(t.Context(), download.Config{MaxBytes: 1 << 20, MaxPixels: 1 << 20, Concurrency: 8}, deps)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = made.Close() })
	return made
}

// event returns the event whose result the host has.
func (h misbehavingHost) event(t *testing.T, m misbehaviour) event.Event {
	t.Helper()
	address := "https://example.com:PORT/image.png"
	if m.url != "" {
		address = m.url
	}
	body, err := json.Marshal(map[string]string{"job": "job", "result_url": strings.ReplaceAll(address, "PORT", h.port)})
	if err != nil {
		t.Fatal(err)
	}
	e, err := event.Decode(body)
	if err != nil {
		t.Fatal(err)
	}
	e.ID, e.Received = "0198c0de-7000-7000-8000-000000000001", time.Now()
	if m.old {
		e.Received = e.Received.Add(-time.Hour)
	}
	return e
}

// once misbehaves at the first request and then sends the image.
func (f *hostFiles) once(misbehave http.HandlerFunc) func(w http.ResponseWriter, r *http.Request, n int) {
	return func(w http.ResponseWriter, r *http.Request, n int) {
		if n == 0 {
			misbehave(w, r)
			return
		}
		f.send(w, r)
	}
}

// rawOnce writes a text at the first connection and then sends the image; the last %s stands for the image.
func (f *hostFiles) rawOnce(text string) func(conn net.Conn, n int) {
	return func(conn net.Conn, n int) {
		sent := text
		if n > 0 {
			sent = fmt.Sprintf("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%%s", len(f.png))
		}
		const mark = "%s"
		// The bytes of an image can have the mark, too, where a text ends with a part of them.
		if at := strings.LastIndex(sent, mark); at >= 0 && at >= len(sent)-2*len(mark) {
			sent = sent[:at] + string(f.png) + sent[at+len(mark):]
		}
		_, _ = io.WriteString(conn, sent)
	}
}

func always(answer http.HandlerFunc) func(w http.ResponseWriter, r *http.Request, n int) {
	return func(w http.ResponseWriter, r *http.Request, _ int) { answer(w, r) }
}

// status answers with a status and a short text.
func status(code int) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(code)
		if code >= http.StatusOK && code != http.StatusNoContent && code != http.StatusNotModified {
			_, _ = io.WriteString(w, "not now")
		}
	}
}
