package app

import (
	"context"
	"fmt"
)

// awaitChecks returns an error if one of the SQLite files turns out to be damaged soon after it was opened.
func (s *stores) awaitChecks(ctx context.Context) error {
	if err := s.inbox.AwaitCheck(ctx); err != nil {
		return err
	}
	return s.work.AwaitCheck(ctx)
}

// watchChecks stops the receiver if one of its SQLite files turns out to be damaged. The start does not wait for a look at large ones.
func (a *App) watchChecks(stores *stores) {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if err := stores.awaitChecks(ctx); err != nil && ctx.Err() == nil {
			select {
			case a.lost <- fmt.Errorf("app: %w", err):
			default: // it was lost before
			}
		}
	}()
	a.cleanups.add("integrity check", func(context.Context) error {
		cancel()
		<-ended
		return nil
	})
}
