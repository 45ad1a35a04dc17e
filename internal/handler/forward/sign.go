package forward

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/deepimage-receiver/receiver/internal/event"
	"github.com/deepimage-receiver/receiver/internal/secret"
	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
)

// The rules of Standard Webhooks for secrets.
const (
	secretPrefix   = "whsec_"
	minSecretBytes = 24
	maxSecretBytes = 64
	maxSecrets     = 8 // each makes the header longer
)

// signer signs requests with every secret.
type signer []*standardwebhooks.Webhook

// newSigner parses the secrets. The text of the error follows the name of the variable. The length is checked here because
// the library accepts an empty secret.
func newSigner(secrets secret.List) (signer, error) {
	if len(secrets) > maxSecrets {
		return nil, fmt.Errorf("has %d secrets, and may have at most %d", len(secrets), maxSecrets)
	}
	made := make(signer, 0, len(secrets))
	for i, s := range secrets {
		encoded, prefixed := strings.CutPrefix(s.Reveal(), secretPrefix)
		key, err := base64.StdEncoding.DecodeString(encoded)
		if !prefixed || err != nil {
			return nil, fmt.Errorf("has a secret, number %d, that is not %s and base64", i+1, secretPrefix)
		}
		if len(key) < minSecretBytes || len(key) > maxSecretBytes {
			return nil, fmt.Errorf("has a secret, number %d, of %d bytes; it must have %d to %d, base64 not counted",
				i+1, len(key), minSecretBytes, maxSecretBytes)
		}
		webhook, err := standardwebhooks.NewWebhookRaw(key)
		if err != nil {
			return nil, fmt.Errorf("has a secret, number %d, that is not valid", i+1)
		}
		made = append(made, webhook)
	}
	return made, nil
}

// sign sets the headers of Standard Webhooks for content. The id is that of the event, the same for every attempt and
// replay. The time is that of the attempt.
func (s signer) sign(header http.Header, id event.ID, at time.Time, content []byte) error {
	header.Set(standardwebhooks.HeaderWebhookID, string(id))
	header.Set(standardwebhooks.HeaderWebhookTimestamp, strconv.FormatInt(at.Unix(), 10))
	signatures := make([]string, len(s))
	for i, webhook := range s {
		var err error
		if signatures[i], err = webhook.Sign(string(id), at, content); err != nil {
			return fmt.Errorf("sign the request: %w", err)
		}
	}
	if len(signatures) > 0 {
		header.Set(standardwebhooks.HeaderWebhookSignature, strings.Join(signatures, " "))
	}
	return nil
}
