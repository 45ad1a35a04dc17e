package nats_test

import (
	"testing"

	"github.com/deepimage-receiver/receiver/internal/event"
	"github.com/deepimage-receiver/receiver/internal/handler/handlertest"
	"github.com/deepimage-receiver/receiver/internal/handler/publish/brokertest"
	"github.com/deepimage-receiver/receiver/internal/testkit"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go/jetstream"
)

func TestBroker(t *testing.T) {
	t.Parallel()
	brokertest.Run(t, func(t *testing.T) brokertest.Subject {
		t.Helper()
		running := newServer(t, nil)
		running.addStream(t, jetstream.StreamConfig{})
		return newSubject(t, running)
	})
}

func TestRestart(t *testing.T) {
	t.Parallel()
	running := newServer(t, nil)
	running.addStream(t, jetstream.StreamConfig{})
	subject := newSubject(t, running)
	brokertest.SurvivesRestart(t, brokertest.Restart{Subject: subject, Stop: running.stop, Start: running.start})
	seen := map[string]bool{}
	for _, body := range running.bodies(t) {
		if seen[string(body)] {
			t.Errorf("message %s is stored twice, want once", body)
		}
		seen[string(body)] = true
	}
}

func TestDownAtStart(t *testing.T) {
	t.Parallel()
	running := newServer(t, nil)
	running.addStream(t, jetstream.StreamConfig{})
	running.stop(t)
	brokertest.DownAtStart(t, address(running.listen), running.start)
}

func TestNextServerIsTried(t *testing.T) {
	t.Parallel()
	running := newServer(t, nil)
	running.addStream(t, jetstream.StreamConfig{})
	unused := testkit.FreeAddress(t)
	made := brokertest.NewHandler(t, address(unused+","+running.listen+","+unused))
	if _, err := made.Handle(t.Context(), brokertest.Event(t, "job", "s3cret")); err != nil {
		t.Error(err)
	}
}

func TestFailures(t *testing.T) {
	t.Parallel()
	user := func(permissions *server.Permissions) func(*server.Options) {
		return func(o *server.Options) {
			o.Username, o.Password = "", ""
			o.Users = []*server.User{{Username: "user", Password: brokertest.Password, Permissions: permissions}}
		}
	}
	rows := []struct {
		name   string
		change func(*server.Options)
		reason event.Reason
	}{
		{name: "no stream", reason: event.ReasonOther},
		{name: "no JetStream", change: func(o *server.Options) { o.JetStream = false }, reason: event.ReasonOther},
		{name: "wrong password", change: func(o *server.Options) { o.Password = "another" }, reason: event.ReasonAuth},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			brokertest.Fails(t, address(newServer(t, row.change).listen), row.reason)
		})
	}
	t.Run("publishing is not permitted", func(t *testing.T) {
		t.Parallel()
		running := newServer(t, user(&server.Permissions{Publish: &server.SubjectPermission{Allow: []string{"$JS.API.>"}}}))
		running.addStream(t, jetstream.StreamConfig{})
		_, err := brokertest.NewHandler(t, address(running.listen)).Handle(t.Context(), brokertest.Event(t, "job", "s3cret"))
		handlertest.WantError(t, err, event.ActionDefer, event.ReasonAuth)
	})
	t.Run("asking for the stream is not permitted", func(t *testing.T) {
		t.Parallel()
		running := newServer(t, user(&server.Permissions{Publish: &server.SubjectPermission{Allow: []string{subject}}}))
		made := brokertest.NewHandler(t, address(running.listen))
		if err := made.Check(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

func TestStreamRefuses(t *testing.T) {
	t.Parallel()
	rows := []struct {
		name   string
		config jetstream.StreamConfig
		action event.Action
		reason event.Reason
	}{
		{name: "large messages", config: jetstream.StreamConfig{MaxMsgSize: 1000}, action: event.ActionFail, reason: event.ReasonTooLarge},
		{name: "messages while it is full", config: jetstream.StreamConfig{MaxMsgs: 1, Discard: jetstream.DiscardNew}, action: event.ActionDefer, reason: event.ReasonServerError},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			running := newServer(t, nil)
			running.addStream(t, row.config)
			made := brokertest.NewHandler(t, address(running.listen))
			if _, err := made.Handle(t.Context(), brokertest.Event(t, "small", "s3cret")); err != nil {
				t.Fatal(err)
			}
			_, err := made.Handle(t.Context(), brokertest.LargeEvent(t, "large", 2000))
			handlertest.WantError(t, err, row.action, row.reason)
		})
	}
}
