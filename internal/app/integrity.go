package app

import (
	"context"
	"fmt"
)

// checkFiles looks longer at the integrity of SQLite files for which the time was too short when they were opened.
func (s *stores) checkFiles(ctx context.Context) error {
	if err := s.inbox.Check(ctx); err != nil {
		return err
	}
	return s.work.Check(ctx)
}

// startCheck stops the receiver if check finds that one of its SQLite files is damaged. The start does not wait for a look at large ones.
func (a *App) startCheck(check func(ctx context.Context) error) {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if err := check(ctx); err != nil && ctx.Err() == nil {
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
