package app_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/deepimage-receiver/receiver/internal/database"
	"github.com/deepimage-receiver/receiver/internal/database/databasetest"
	"github.com/go-chi/chi/v5"
)

// BenchmarkPlainHandler measures what most people write first: a chi handler that decodes the callback and inserts it in a
// transaction of its own, which is synced. It has neither limits nor checks nor anything behind it. Compare it with the rows of
// BenchmarkAccept.
func BenchmarkPlainHandler(b *testing.B) {
	db := databasetest.NewPlace(b, database.SQLite).Open(b).Inbox.Writer
	if _, err := db.ExecContext(b.Context(), "CREATE TABLE plain (job TEXT PRIMARY KEY, result_url TEXT, body BLOB NOT NULL)"); err != nil {
		b.Fatal(err)
	}
	router := chi.NewRouter()
	router.Post("/webhooks/deep-image/{token}", func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		var callback struct {
			Job       string  `json:"job"`
			ResultURL *string `json:"result_url"`
		}
		if err != nil || json.Unmarshal(body, &callback) != nil || chi.URLParam(r, "token") != token {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		tx, err := db.BeginTx(r.Context(), nil)
		if err == nil {
			_, err = tx.ExecContext(r.Context(), "INSERT INTO plain VALUES ($1, $2, $3) ON CONFLICT DO NOTHING", callback.Job, callback.ResultURL, body)
			if err == nil {
				err = tx.Commit()
			} else {
				_ = tx.Rollback()
			}
		}
		if err != nil {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(map[string]string{"job": callback.Job, "status": "accepted"}) // the client may be gone
	})
	server := httptest.NewServer(router)
	b.Cleanup(server.Close)
	sendAll(b, 64, server.URL+"/webhooks/deep-image/"+token)
}
