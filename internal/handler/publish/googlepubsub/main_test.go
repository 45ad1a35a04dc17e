package googlepubsub_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"testing"

	"github.com/deepimage-receiver/receiver/internal/handler/publish/brokertest"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	cleanUp, err := trustTestServers()
	if err != nil {
		panic(err)
	}
	status := m.Run()
	cleanUp()
	if status == 0 {
		if err := goleak.Find(); err != nil {
			_, _ = os.Stderr.WriteString(err.Error() + "\n")
			status = 1
		}
	}
	os.Exit(status)
}

const (
	topic    = "projects/my-project/topics/deep-image"
	tooLarge = 10_000_000
)

// topics is a stand-in for the REST interface of Pub/Sub, as far as it is needed.
func topics(s *brokertest.Service) http.Handler {
	routes := http.NewServeMux()
	routes.HandleFunc("POST /v1/"+topic+":publish", func(w http.ResponseWriter, r *http.Request) {
		var got struct {
			Messages []struct {
				Data       []byte
				Attributes map[string]string
			}
		}
		if err := json.NewDecoder(r.Body).Decode(&got); err != nil || len(got.Messages) != 1 ||
			got.Messages[0].Attributes["content-type"] != "application/cloudevents+json" {
			refuse(w, http.StatusBadRequest, "INVALID_ARGUMENT")
			return
		}
		s.Keep(got.Messages[0].Data, "")
		_, _ = fmt.Fprint(w, `{"messageIds":["1"]}`)
	})
	routes.HandleFunc("GET /v1/"+topic, func(w http.ResponseWriter, _ *http.Request) {
		_, _ = fmt.Fprintf(w, `{"name":%q}`, topic)
	})
	routes.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) { refuse(w, http.StatusNotFound, "NOT_FOUND") })
	return routes
}

func refuse(w http.ResponseWriter, code int, status string) {
	w.WriteHeader(code)
	_, _ = fmt.Fprintf(w, `{"error":{"code":%d,"message":"it says","status":%q}}`, code, status)
}

// always refuses everything in the same way.
func always(code int, status string) func(*brokertest.Service) http.Handler {
	return func(*brokertest.Service) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { refuse(w, code, status) })
	}
}

func address(s *brokertest.Service) string { return "gcppubsub://" + topic + "?endpoint=" + s.URL() }

func subject(s *brokertest.Service) brokertest.Subject {
	return brokertest.Subject{URL: address(s), Proxy: s.Proxy, Bodies: s.Bodies, TooLarge: tooLarge}
}
