package event

import (
	"slices"
	"strings"
)

// isWebhookName tells whether a name announces addresses to call back.
func isWebhookName(name string) bool { return strings.Contains(letters(name), "webhook") }

// isSecretName tells whether the name of a member says that its value is secret.
func isSecretName(name string) bool {
	plain := letters(name)
	return slices.Contains([]string{"auth", "pwd", "sig", "cookie", "setcookie", "jwt"}, plain) ||
		containsAny(plain, "apikey", "accesskey", "secret", "privatekey", "token", "password", "passwd", "passphrase",
			"credential", "authorization", "signature", "bearer")
}

// isSecretParameter tells whether the name of a parameter in a URL says that its value
// is secret. It is quicker to suspect than isSecretName: signed URLs have many dialects.
func isSecretParameter(name string) bool {
	plain := letters(name)
	return isSecretName(name) || containsAny(plain, "key", "auth", "pass") ||
		slices.Contains([]string{"sign", "code", "policy"}, plain) ||
		strings.HasPrefix(plain, "xamz") || strings.HasPrefix(plain, "xgoog")
}

// letters keeps the letters and digits of a name, in lower case, so that api_key, apiKey and X-API-Key look alike.
func letters(name string) string {
	return strings.Map(func(r rune) rune {
		if 'a' <= r && r <= 'z' || '0' <= r && r <= '9' {
			return r
		}
		return -1
	}, lower(name))
}

func containsAny(text string, parts ...string) bool {
	return slices.ContainsFunc(parts, func(part string) bool { return strings.Contains(text, part) })
}
