package app_test

import (
	"bytes"
	"compress/gzip"
	"net/http"
	"testing"

	"github.com/deepimage-receiver/receiver/internal/database/databasetest"
	"github.com/deepimage-receiver/receiver/internal/event"
	"github.com/deepimage-receiver/receiver/internal/testkit/storetest"
)

// A2: a compressed body can be downloaded as it came, and as it was decompressed.
func TestOriginalBody(t *testing.T) {
	t.Parallel()
	var sent bytes.Buffer
	writer := gzip.NewWriter(&sent)
	const body = `{"job":"A2","data":{"a":1}}`
	if _, err := writer.Write([]byte(body)); err != nil {
		t.Fatal(err)
	}
	if err := writer.Close(); err != nil {
		t.Fatal(err)
	}
	storetest.Each(t, func(t *testing.T, place *databasetest.Place) {
		r := start(t, configuration(t, place))
		api, client := openAdminAPI(t, r), newClient(t)
		compressed, plain := post(t, client, r.webhook(), sent.Bytes()).ID, post(t, client, r.webhook(), []byte(`{"job":"A2 plain"}`)).ID
		for _, id := range []event.ID{compressed, plain} {
			r.await(t, id)
		}
		var original, stored []byte
		api.ask(http.MethodGet, "/api/v1/events/"+string(compressed)+"/original", &original)
		api.ask(http.MethodGet, "/api/v1/events/"+string(compressed)+"/body", &stored)
		if !bytes.Equal(original, sent.Bytes()) || string(stored) != body {
			t.Errorf("original, body = %q, %q, want %q, %q", original, stored, sent.Bytes(), body)
		}
		if described := api.event(compressed).Original; described == nil || described.Bytes != int64(sent.Len()) {
			t.Errorf("event describes the original as %+v, want %d bytes", described, sent.Len())
		}
		api.wantStatus(t, http.MethodGet, "/api/v1/events/"+string(plain)+"/original", http.StatusNotFound)
		if described := api.event(plain).Original; described != nil {
			t.Errorf("plain event describes an original %+v, want none", described)
		}
	})
}
