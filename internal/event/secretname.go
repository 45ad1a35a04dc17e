package event

import (
	"slices"
	"strings"
)

// isWebhookName reports whether the values below a name are callback URLs.
func isWebhookName(name string) bool { return strings.Contains(letters(name), "webhook") }

// isSecretName reports whether the member with this name has a secret value.
func isSecretName(name string) bool {
	plain := letters(name)
	return slices.Contains([]string{"auth", "pwd", "sig", "cookie", "setcookie", "jwt"}, plain) ||
		containsAny(plain, "apikey", "accesskey", "secret", "privatekey", "token", "password", "passwd", "passphrase",
			"credential", "authorization", "signature", "bearer")
}

// isSecretParameter reports whether the URL parameter with this name has a secret value. It matches more names than
// isSecretName, because signed URLs have many dialects.
func isSecretParameter(name string) bool {
	plain := letters(name)
	return isSecretName(name) || containsAny(plain, "key", "auth", "pass") ||
		slices.Contains([]string{"sign", "code", "policy"}, plain) ||
		strings.HasPrefix(plain, "xamz") || strings.HasPrefix(plain, "xgoog")
}

// letters returns the letters and digits of a name in lower case, so that api_key, apiKey and X-API-Key are similar.
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
