package app

import (
	"context"
	"errors"
	"net/http"
	"syscall"
	"time"

	"github.com/deepimage-receiver/receiver/internal/background"
	"github.com/deepimage-receiver/receiver/internal/blobstore"
	"github.com/deepimage-receiver/receiver/internal/config"
	"github.com/deepimage-receiver/receiver/internal/database"
	"github.com/deepimage-receiver/receiver/internal/httpserver"
	"github.com/deepimage-receiver/receiver/internal/problem"
	"github.com/rs/zerolog"
)

const (
	// fullDiskPause is the time between two tries to start on a full disk.
	fullDiskPause   = time.Second
	waitStopTimeout = 2 * time.Second
)

// Await calls open until it does not fail because of a full disk. Meanwhile the public listener answers 503, so that callbacks are sent
// again later and the process is not restarted. It returns the error of open, or that of ctx.
func Await(ctx context.Context, c config.Config, log zerolog.Logger, open func(context.Context) error) error {
	err := open(ctx)
	if err == nil || !isDiskFull(c, err) {
		return err
	}
	log.Warn().Err(err).Str("data", c.DataDir).Msg("disk is full, waiting for space before the start")
	waiting, serverErr := startWaiting(ctx, c, log)
	if serverErr != nil {
		return errors.Join(err, serverErr)
	}
	for isDiskFull(c, err) {
		if ended := background.Sleep(ctx, fullDiskPause); ended != nil {
			err = ended
			break
		}
		err = open(ctx)
	}
	limited, cancel := context.WithTimeout(context.WithoutCancel(ctx), waitStopTimeout)
	defer cancel()
	_ = waiting.Shutdown(limited) // what is cut off is sent again
	return err
}

// isDiskFull reports whether a start failed because there is no space in the folders of the receiver.
func isDiskFull(c config.Config, err error) bool {
	for _, full := range []error{syscall.ENOSPC, syscall.EDQUOT, blobstore.ErrFull} {
		if errors.Is(err, full) {
			return true
		}
	}
	if database.IsFull(err) {
		return true
	}
	return database.IsIO(err) && errors.Is(checkSpace(c.DatabaseFolder(), uint64(c.MinFreeBytes)), errDiskLow)
}

// startWaiting starts a public listener that accepts nothing.
func startWaiting(ctx context.Context, c config.Config, log zerolog.Logger) (*httpserver.Server, error) {
	full := problem.Unavailable("The disk is full.", errDiskLow)
	server, err := httpserver.New(c.HTTP, httpserver.Deps{
		Log:     log,
		Webhook: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { problem.Write(w, r, full) }),
		Checks:  []httpserver.Check{{Name: "disk", Run: func(context.Context) error { return errDiskLow }}},
	})
	if err != nil {
		return nil, err
	}
	_, err = server.Start(ctx)
	return server, err
}
