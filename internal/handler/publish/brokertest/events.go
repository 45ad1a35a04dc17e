package brokertest

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/deepimage-receiver/receiver/internal/event"
	"github.com/google/uuid"
)

// Event returns an event with a secret wherever a callback can have one.
func Event(t *testing.T, job, secret string) event.Event {
	t.Helper()
	return decode(t, job, fmt.Sprintf(
		`{"job":%q,"result_url":"https://host/%s.png?X-Amz-Signature=%s","data":{"width":2,"webhooks":{"complete":"https://me/webhooks/deep-image/%s"}}}`,
		job, job, secret, secret))
}

// LargeEvent returns an event whose message has more than size bytes, compressed too. They are in the id of its job, because
// large data is left out of messages.
func LargeEvent(t *testing.T, job string, size int) event.Event {
	t.Helper()
	const perNumber = 50
	random := rand.NewChaCha8([32]byte{})
	var list strings.Builder
	for list.Len() < size+size/2 {
		list.WriteByte('1')
		for range perNumber {
			list.WriteString(strconv.FormatUint(random.Uint64(), 10))
		}
		list.WriteByte(',')
	}
	e := decode(t, job, fmt.Sprintf(`{"job":%q}`, job))
	e.Job = list.String()
	return e
}

func decode(t *testing.T, job, body string) event.Event {
	t.Helper()
	e, err := event.Decode([]byte(body))
	if err != nil {
		t.Fatal(err)
	}
	e.ID = event.ID(uuid.NewSHA1(uuid.NameSpaceURL, []byte(job)).String())
	e.Received = time.Date(2026, 11, 24, 12, 0, 0, 5000, time.UTC)
	return e
}

// effects returns what a consumer that ignores repeats has received: the hash of the message by id.
func effects(t *testing.T, subject Subject) map[string]string {
	t.Helper()
	received := map[string]string{}
	for _, body := range subject.Bodies(t) {
		var envelope struct{ ID string }
		if err := json.Unmarshal(body, &envelope); err != nil || envelope.ID == "" {
			t.Fatalf("message = %s, error = %v, want JSON with an id", body, err)
		}
		sum := sha256.Sum256(body)
		hash := hex.EncodeToString(sum[:])
		if before := received[envelope.ID]; before != "" && before != hash {
			t.Errorf("message %s = %s, want the same at every repeat: %s", envelope.ID, hash, before)
		}
		received[envelope.ID] = hash
	}
	return received
}
