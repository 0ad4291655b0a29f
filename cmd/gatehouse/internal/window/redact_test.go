package window

import (
	"net/url"
	"testing"
)

func TestScrub(t *testing.T) {
	t.Parallel()
	const secret = "SplxlOBeZQQYbYS6WxSbIASplxlO"
	const short = "…lxlO (28 characters)"
	for _, test := range []struct{ name, text, want string }{
		{"control: plain text", `{"method":"tools/list","code":-32601}`, `{"method":"tools/list","code":-32601}`},
		{"control: words that are names too", "the code and the state of things", "the code and the state of things"},
		{"form", "grant_type=authorization_code&code=" + secret + "&client_id=abc", "grant_type=authorization_code&code=" + short + "&client_id=abc"},
		{"verifier", "code_verifier=" + secret, "code_verifier=" + short},
		{"redirect", "http://127.0.0.1/cb?code=" + secret + "&iss=x", "http://127.0.0.1/cb?code=" + short + "&iss=x"},
		{"JSON", `{"client_secret":"` + secret + `","a":1}`, `{"client_secret":"` + short + `","a":1}`},
		{"JSON within JSON text", `{"a":{"refresh_token": "` + secret, `{"a":{"refresh_token": "` + short},
		{"escaped quotes", `{"secret":"ab\"` + secret + `"}`, `{"secret":"…lxlO (32 characters)"}`},
		{"once", "code=" + short, "code=" + short},
		{"JWT", "see " + sampleJWT + " there", "see …dXJl (90 characters) there"},
		{"JWT cut short", "see " + sampleJWT[:40], "see …dCJ9 (40 characters)"},
		{"opaque token", "see " + sampleOpaque + ".", "see …stuv (36 characters)."},
		{"secret key", "sk_test_" + secret, "…lxlO (36 characters)"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			if got := scrub(test.text); got != test.want {
				t.Errorf("scrub(%q) = %q, want %q", test.text, got, test.want)
			}
		})
	}
}

func TestScrubURL(t *testing.T) {
	t.Parallel()
	u, err := url.Parse("/callback?code=SplxlOBeZQQYbYS6WxSbIASplxlO&scope=email+profile")
	if err != nil {
		t.Fatal(err)
	}
	if got, want := scrubURL(u), "/callback?code=…lxlO (28 characters)&scope=email profile"; got != want {
		t.Errorf("scrubURL = %q, want %q", got, want)
	}
}
