package admin_test

import (
	"context"
	"fmt"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/deepimage-receiver/receiver/internal/event"
	"github.com/deepimage-receiver/receiver/internal/memory"
	"github.com/deepimage-receiver/receiver/internal/workflow/workflowtest"
)

// TestBodiesWaitForMemory is fault F4: every route that loads a large body takes its memory from the budget.
func TestBodiesWaitForMemory(t *testing.T) { //nolint:tparallel // the rows share the budget
	t.Parallel()
	held := openStores(t)
	body := fmt.Sprintf(`{"job":"a","data":%q}`, strings.Repeat("x", 2*memory.SmallBytes))
	decoded, err := event.Decode([]byte(body))
	if err != nil {
		t.Fatal(err)
	}
	decoded.Original = &event.Original{ContentType: "application/x-www-form-urlencoded", Body: []byte("payload=" + body)}
	receipt, err := held.inbox.Accept(t.Context(), decoded)
	if err != nil {
		t.Fatal(err)
	}
	entry := workflowtest.Entry(1)
	entry.ID, entry.Job, entry.Bytes = receipt.ID, decoded.Job, int64(len(body))
	held.AddStages(t, [][]string{{"download"}}, entry)
	rejection := held.reject(t, strings.Repeat("x", 2*memory.SmallBytes))

	deps := held.deps()
	deps.Memory = memory.New(8 << 20).Work
	handler := serve(t, "", deps)
	paths := []string{
		"/api/v1/events/" + string(receipt.ID), "/api/v1/events/" + string(receipt.ID) + "/body", "/api/v1/events/" + string(receipt.ID) + "/original",
		"/api/v1/rejections", fmt.Sprintf("/api/v1/rejections/%d/body", rejection),
	}
	for _, row := range []struct {
		name       string
		full       bool
		wantStatus int
	}{
		{name: "free", wantStatus: http.StatusOK},
		{name: "full", full: true, wantStatus: http.StatusServiceUnavailable},
	} {
		t.Run(row.name, func(t *testing.T) {
			if row.full {
				lease, err := deps.Memory.Acquire(t.Context(), netip.Prefix{}, 3<<20)
				if err != nil {
					t.Fatal(err)
				}
				defer lease.Release()
			}
			for _, path := range paths {
				response := ask(handler, http.MethodGet, path, func(r *http.Request) {
					if row.full { // what waits for memory waits until the deadline
						ctx, cancel := context.WithTimeout(r.Context(), 100*time.Millisecond)
						t.Cleanup(cancel)
						*r = *r.WithContext(ctx)
					}
				})
				if response.StatusCode != row.wantStatus {
					t.Errorf("status of %s = %d, want %d", path, response.StatusCode, row.wantStatus)
				}
			}
		})
	}
}
