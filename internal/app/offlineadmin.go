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

// OfflineAdmin serves the admin API from the stores of a stopped receiver, in this process and without a listener. It is an
// http.RoundTripper. A receiver processes its changes at the next start; other replicas do so at once.
type OfflineAdmin struct {
	app     *App
	handler http.Handler
}

// OpenOfflineAdmin opens the configured stores. It neither creates nor migrates them. It returns ErrInUse if a running receiver
// has the data folder.
func OpenOfflineAdmin(ctx context.Context, c config.Config) (_ *OfflineAdmin, err error) {
	c.Admin = admin.Config{Addr: "127.0.0.1:0"} // access to the stores is enough
	a := &App{config: c, log: zerolog.Nop(), artifacts: artifactStores{}, disk: &disk{}}
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
	if c.DeepImage.Enabled() { // it registers jobs; the receiver asks about them
		a.reconciler = reconcile.New(c.Reconcile, reconcile.Deps{Store: a.work.Jobs})
	}
	a.useRetention(nil) // the receiver deletes files at its next start
	if _, err := a.openAdmin(a.adminDeps()); err != nil {
		return nil, err
	}
	a.cleanups.add("admin API", a.adminServer.Shutdown)
	return &OfflineAdmin{app: a, handler: a.adminServer.Router()}, nil
}

// Close closes the stores.
func (o *OfflineAdmin) Close(ctx context.Context) error {
	if err := o.app.cleanups.run(ctx); err != nil {
		return fmt.Errorf("app: %w", err)
	}
	return nil
}

// RoundTrip answers a request. The response is complete when it returns.
func (o *OfflineAdmin) RoundTrip(r *http.Request) (*http.Response, error) {
	request := r.Clone(r.Context())
	request.RemoteAddr, request.RequestURI = "127.0.0.1:0", r.URL.RequestURI()
	if request.Host = r.Host; request.Host == "" {
		request.Host = r.URL.Host
	}
	if request.Body == nil {
		request.Body = http.NoBody
	}
	defer request.Body.Close() //nolint:errcheck // only read from
	response := &recorder{header: http.Header{}, status: http.StatusOK}
	o.handler.ServeHTTP(response, request)
	return &http.Response{
		Status: fmt.Sprintf("%d %s", response.status, http.StatusText(response.status)), StatusCode: response.status,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Header: response.header,
		Body: io.NopCloser(&response.body), ContentLength: int64(response.body.Len()), Request: r,
	}, nil
}

// recorder keeps a response in memory. The API bounds its lists and bodies.
type recorder struct {
	header http.Header
	status int
	wrote  bool
	body   bytes.Buffer
}

// Header returns the headers of the response.
func (r *recorder) Header() http.Header { return r.header }

// WriteHeader keeps the first status.
func (r *recorder) WriteHeader(status int) {
	if !r.wrote {
		r.status, r.wrote = status, true
	}
}

// Write adds to the body.
func (r *recorder) Write(content []byte) (int, error) {
	r.wrote = true
	return r.body.Write(content)
}
