package app_test

import (
	"io"
	"strings"
	"testing"

	"github.com/deepimage-receiver/receiver/internal/database"
	"github.com/deepimage-receiver/receiver/internal/testkit/storetest"
)

// The setup page has every variable and no secret, whatever its source.
func TestSetupPageHasNoSecrets(t *testing.T) {
	const secretText = "s3cret-of-the-vendor"
	t.Setenv("RECEIVER_DEEPIMAGE_API_KEY", secretText)
	t.Setenv("RECEIVER_PUBLISH_URL", "nats://receiver:"+secretText+"@127.0.0.1:4222/deep-image.complete")
	t.Setenv("RECEIVER_DOWNLOAD_CONCURRENCY", "5")
	c := configuration(t, storetest.NewPlace(t, database.SQLite))
	r := start(t, c)
	response, err := newClient(t).Get("http://" + r.AdminAddr().String() + "/setup")
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	page := string(text)
	if strings.Contains(page, secretText) || strings.Contains(page, token) {
		t.Error("the page has a secret, want none")
	}
	for _, v := range c.Variables {
		if !strings.Contains(page, "<code>"+v.Name+"</code>") {
			t.Errorf("the page has no %s, want it", v.Name)
		}
	}
	if !strings.Contains(page, `<td><code>5</code></td><td><span class="badge running">set</span></td>`) {
		t.Error("the page has no row with the value that is set, want one")
	}
}
