package admin

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/deepimage-receiver/receiver/internal/event"
)

// Setting is a variable of the configuration as it is in force.
type Setting struct {
	Name    string
	Value   string // a placeholder for a secret
	Source  string // where the value comes from
	Meaning string
	Default string
	Range   string
}

// Setup tells how the receiver is set up.
type Setup interface {
	Settings() []Setting
	// Webhook is the address to register with Deep Image, up to the token, and the token, which is
	// shown to those alone who ask for it. The address is a guess when guessed is set.
	Webhook() (address, token string, guessed bool)
	// SendSample sends the documented sample callback through the public door, as Deep Image would.
	SendSample(ctx context.Context) (event.ID, error)
}

// sampleTimeout bounds the sending of a sample.
const sampleTimeout = 20 * time.Second

// setupPage is the body of the page about the configuration.
type setupPage struct {
	Set      []Setting      // by the environment
	Default  []settingGroup // the others
	Defaults int            // how many those are
	Address  string
	Token    string // "" as long as nobody asked for it
	Guessed  bool
}

// settingGroup are variables whose names begin alike.
type settingGroup struct {
	Name     string
	Settings []Setting
}

// addSetting puts a variable into its group.
func addSetting(groups []settingGroup, one Setting) []settingGroup {
	name := "general"
	for _, group := range []string{
		"HTTP", "ADMIN", "WEBHOOK", "LOG", "DATABASE", "INBOX", "QUEUE", "RETRY", "FETCH", "DEEPIMAGE", "RECONCILE", "DOWNLOAD", "FORWARD", "PUBLISH",
	} {
		if strings.HasPrefix(one.Name, "RECEIVER_"+group+"_") {
			name = strings.ToLower(group)
		}
	}
	at := slices.IndexFunc(groups, func(g settingGroup) bool { return g.Name == name })
	if at < 0 {
		at = len(groups)
		groups = append(groups, settingGroup{Name: name})
	}
	groups[at].Settings = append(groups[at].Settings, one)
	return groups
}

func (a *Admin) setup(r *http.Request) setupPage {
	var body setupPage
	for _, one := range a.deps.Setup.Settings() {
		if one.Source == "default" || one.Source == "none" {
			body.Default = addSetting(body.Default, one)
			body.Defaults++
		} else {
			body.Set = append(body.Set, one)
		}
	}
	var token string
	body.Address, token, body.Guessed = a.deps.Setup.Webhook()
	if r.Method == http.MethodPost {
		body.Token = token
	}
	return body
}

// showSetup answers GET /setup, and POST /setup with the token in sight.
func (a *Admin) showSetup(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodPost {
		a.deps.Log.Info().Msg("webhook token shown on the setup page")
	}
	a.show(w, r, "setup", view{Title: "Setup", Section: "setup", Body: a.setup(r)}, nil)
}

// sendSample answers POST /setup/sample.
func (a *Admin) sendSample(w http.ResponseWriter, r *http.Request) {
	id, err := a.deps.Setup.SendSample(r.Context())
	if err != nil {
		a.show(w, r, "problem", view{Section: "setup"}, err)
		return
	}
	http.Redirect(w, r, "/events/"+string(id), http.StatusSeeOther)
}
