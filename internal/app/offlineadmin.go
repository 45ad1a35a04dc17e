package app

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"

	"github.com/deepimage-receiver/receiver/internal/admin"
	"github.com/deepimage-receiver/receiver/internal/config"
	"github.com/deepimage-receiver/receiver/internal/reconcile"
	"github.com/rs/zerolog"
)

// Office is the admin API over stores that no receiver on this machine answers for: within this process, without a
// listener, and without anything that works on events. It is an http.RoundTripper, so that a client of the API need not
// know the difference; what it changes is taken up by the receiver, at its next start or by replicas that run.
type Office struct {
	app     *App
	handler http.Handler
}

// OpenOffice opens the stores that the configuration names, as they are: it makes none, and migrates none. Embedded, they must be
// in nobody's hands; ErrInUse says that a running receiver has them.
func OpenOffice(ctx context.Context, c config.Config) (_ *Office, err error) {
	c.Admin = admin.Config{Addr: "127.0.0.1:0"} // whoever can open the stores needs no token
	a := &App{config: c, log: zerolog.Nop(), stored: shelves{}, disk: &disk{}}
	defer func() {
		if err != nil {
			err = errors.Join(err, a.cleanups.run(ctx))
		}
	}()
	stores, err := openFound(ctx, c)
	if err != nil {
		return nil, err
	}
	a.cleanups.add("stores", stores.close)
	if err := a.useStores(ctx, stores); err != nil {
		return nil, err
	}
	if c.DeepImage.Enabled() { // it registers jobs; the receiver looks them up
		a.lookout = reconcile.New(c.Reconcile, reconcile.Deps{Store: a.work.Jobs})
	}
	if err := a.openAdmin(a.answering()); err != nil {
		return nil, err
	}
	a.cleanups.add("admin API", a.adminServer.Shutdown)
	return &Office{app: a, handler: a.adminServer.Router()}, nil
}

// Close closes the stores; what was asked for is written.
func (o *Office) Close(ctx context.Context) error {
	if err := o.app.cleanups.run(ctx); err != nil {
		return fmt.Errorf("app: %w", err)
	}
	return nil
}

// RoundTrip answers a request. The answer is whole when it returns.
func (o *Office) RoundTrip(r *http.Request) (*http.Response, error) {
	asked := r.Clone(r.Context())
	asked.RemoteAddr, asked.RequestURI = "127.0.0.1:0", r.URL.RequestURI()
	if asked.Host = r.Host; asked.Host == "" {
		asked.Host = r.URL.Host
	}
	if asked.Body == nil {
		asked.Body = http.NoBody
	}
	defer asked.Body.Close() //nolint:errcheck // only read from
	given := &answer{header: http.Header{}, status: http.StatusOK}
	o.handler.ServeHTTP(given, asked)
	return &http.Response{
		Status: fmt.Sprintf("%d %s", given.status, http.StatusText(given.status)), StatusCode: given.status,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Header: given.header,
		Body: io.NopCloser(&given.body), ContentLength: int64(given.body.Len()), Request: r,
	}, nil
}

// answer is kept in memory, as its reader would keep it: the API bounds its lists, and bodies are bounded.
type answer struct {
	header http.Header
	status int
	wrote  bool
	body   bytes.Buffer
}

// Header are the headers of the answer.
func (a *answer) Header() http.Header { return a.header }

// WriteHeader takes the first status; what comes later is too late.
func (a *answer) WriteHeader(status int) {
	if !a.wrote {
		a.status, a.wrote = status, true
	}
}

// Write adds to the body.
func (a *answer) Write(content []byte) (int, error) {
	a.wrote = true
	return a.body.Write(content)
}
