package app_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/deepimage-receiver/receiver/internal/app"
	"github.com/deepimage-receiver/receiver/internal/blobstore"
	"github.com/deepimage-receiver/receiver/internal/blobstore/blobstoretest"
	"github.com/deepimage-receiver/receiver/internal/database"
	"github.com/deepimage-receiver/receiver/internal/testkit/storetest"
	"github.com/rs/zerolog"
)

func TestBucketIsCheckedAtStart(t *testing.T) {
	t.Setenv("AWS_ACCESS_KEY_ID", "tests")
	t.Setenv("AWS_SECRET_ACCESS_KEY", blobstoretest.S3Secret)
	service, err := blobstoretest.S3()
	if err != nil {
		t.Fatal(err)
	}
	for name, row := range map[string]struct {
		handle func(w http.ResponseWriter, r *http.Request)
		want   error
	}{
		"works": {handle: service.ServeHTTP},
		"refuses, which may pass": {handle: func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusForbidden)
		}},
		"C11: ignores If-None-Match": {want: blobstore.ErrOverwrites, handle: func(w http.ResponseWriter, r *http.Request) {
			r.Header.Del("If-None-Match")
			service.ServeHTTP(w, r)
		}},
	} {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewServer(http.HandlerFunc(row.handle))
			defer server.Close()
			t.Setenv("RECEIVER_DOWNLOAD_BUCKET_URL", blobstoretest.S3URL(server.URL, ""))
			made, err := app.New(t.Context(), configuration(t, storetest.NewPlace(t, database.SQLite)), zerolog.Nop())
			if !errors.Is(err, row.want) {
				t.Errorf("New() error = %v, want %v", err, row.want)
			}
			if err == nil {
				if err := made.Stop(context.WithoutCancel(t.Context())); err != nil {
					t.Error(err)
				}
			}
		})
	}
}
