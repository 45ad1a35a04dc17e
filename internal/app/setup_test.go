package app_test

import (
	"io"
	"strings"
	"testing"

	"github.com/deepimage-receiver/receiver/internal/database"
	"github.com/deepimage-receiver/receiver/internal/database/databasetest"
)

// The page about the configuration names every variable and shows no secret, wherever it came from.
func TestConfigurationIsShownWithoutSecrets(t *testing.T) {
	const secretText = "s3cret-of-the-vendor"
	t.Setenv("RECEIVER_DEEPIMAGE_API_KEY", secretText)
	t.Setenv("RECEIVER_PUBLISH_URL", "nats://receiver:"+secretText+"@127.0.0.1:4222/deep-image.complete")
	t.Setenv("RECEIVER_DOWNLOAD_CONCURRENCY", "5")
	c := configuration(t, databasetest.NewPlace(t, database.SQLite))
	r := start(t, c)
	answer, err := newClient(t).Get("http://" + r.AdminAddr().String() + "/setup")
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	page := string(text)
	if strings.Contains(page, secretText) || strings.Contains(page, token) {
		t.Error("a secret is on the page")
	}
	for _, v := range c.Variables {
		if !strings.Contains(page, "<code>"+v.Name+"</code>") {
			t.Errorf("%s is not on the page", v.Name)
		}
	}
	if !strings.Contains(page, `<td><code>5</code></td><td><span class="badge running">set</span></td>`) {
		t.Error("the page does not say what is set")
	}
}
