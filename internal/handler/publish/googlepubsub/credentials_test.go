package googlepubsub_test

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/deepimage-receiver/receiver/internal/event"
	"github.com/deepimage-receiver/receiver/internal/handler/handlertest"
	"github.com/deepimage-receiver/receiver/internal/handler/publish/brokertest"
)

// google is a fake of the service and of the token service, with TLS.
type google struct {
	*httptest.Server
	token       http.HandlerFunc
	permissions string // response to testIamPermissions
	published   int
}

const goodToken = "t0ken" + brokertest.Password

func newGoogle(t *testing.T) *google {
	t.Helper()
	made := &google{permissions: `{"permissions":["pubsub.topics.publish"]}`}
	made.token = func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = fmt.Fprintf(w, `{"access_token":%q,"token_type":"Bearer","expires_in":3600}`, goodToken)
	}
	made.Server = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.Path == "/token":
			made.token(w, r)
		case r.Header.Get("Authorization") != "Bearer "+goodToken:
			refuse(w, http.StatusUnauthorized, "UNAUTHENTICATED")
		case strings.HasSuffix(r.URL.Path, ":testIamPermissions"):
			_, _ = fmt.Fprint(w, made.permissions)
		default:
			made.published++
			_, _ = fmt.Fprint(w, `{"messageIds":["1"]}`)
		}
	}))
	t.Cleanup(made.Close)
	return made
}

// use lets the environment name the key of a service account, and this process trust the server.
func (g *google) use(t *testing.T) (address string) {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	account, err := json.Marshal(map[string]string{
		"type": "service_account", "client_email": "me@my-project.iam.gserviceaccount.com", "token_uri": g.URL + "/token",
		"private_key": string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})), "private_key_id": brokertest.Password,
	})
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "account.json")
	if err := os.WriteFile(file, account, 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("GOOGLE_APPLICATION_CREDENTIALS", file)
	return "gcppubsub://my-project/deep-image?endpoint=" + g.URL
}

// The tests here are not parallel: credentials come from the environment.

func TestCredentials(t *testing.T) {
	service := newGoogle(t)
	made := brokertest.NewHandler(t, service.use(t))
	if err := made.Check(t.Context()); err != nil {
		t.Error(err)
	}
	if _, err := made.Handle(t.Context(), brokertest.Event(t, "job", "s3cret")); err != nil || service.published != 1 {
		t.Errorf("error = %v, published = %d, want none, 1", err, service.published)
	}
	service.permissions = `{}`
	handlertest.WantError(t, made.Check(t.Context()), event.ActionDefer, event.ReasonAuth)
}

func TestNoToken(t *testing.T) {
	rows := []struct {
		name   string
		status int
		body   string
		reason event.Reason
	}{
		{name: "refused", status: http.StatusBadRequest, body: `{"error":"invalid_grant","error_description":"assertion ` + brokertest.Password + `"}`, reason: event.ReasonAuth},
		{name: "broken", status: http.StatusServiceUnavailable, body: brokertest.Password, reason: event.ReasonServerError},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			service := newGoogle(t)
			service.token = func(w http.ResponseWriter, _ *http.Request) {
				w.WriteHeader(row.status)
				_, _ = fmt.Fprint(w, row.body)
			}
			brokertest.Fails(t, service.use(t), row.reason)
		})
	}
}

func TestNoCredentials(t *testing.T) {
	t.Setenv("GOOGLE_APPLICATION_CREDENTIALS", filepath.Join(t.TempDir(), "none.json"))
	brokertest.Fails(t, "gcppubsub://my-project/deep-image", event.ReasonAuth)
}
