package localclerk

import (
	"strings"
	"testing"
)

func TestClientAuthentication(t *testing.T) {
	t.Parallel()
	s := newServer(t, nil)
	app := register(t, s, map[string]any{"token_endpoint_auth_method": authBasic})
	public := register(t, s, nil)
	basic := func(user, password string) []string {
		return []string{"Authorization", "Basic " + basicCredentials(user, password)}
	}
	for _, test := range []struct {
		name     string
		app      application
		form     map[string]string
		headers  []string
		wantCode string
		reason   string
	}{
		{name: "basic", app: app, form: map[string]string{"client_id": ""}, headers: basic(app.id, app.secret)},
		{name: "basic with the same client_id", app: app, headers: basic(app.id, app.secret)},
		{name: "post, though registered for basic", app: app, form: map[string]string{"client_secret": app.secret}},
		{name: "none for a public client", app: public},
		{name: "no secret", app: app, wantCode: invalidClient, reason: "secret does not match"},
		{
			name:     "wrong secret",
			app:      app,
			form:     map[string]string{"client_secret": "x"},
			wantCode: invalidClient,
			reason:   "secret does not match",
		},
		{
			name:     "wrong basic",
			app:      app,
			headers:  basic(app.id, "x"),
			wantCode: invalidClient,
			reason:   "secret does not match",
		},
		{
			name:     "two secrets",
			app:      app,
			form:     map[string]string{"client_secret": app.secret},
			headers:  basic(app.id, app.secret),
			wantCode: invalidRequest,
			reason:   "two client secrets",
		},
		{
			name:     "two clients",
			app:      app,
			form:     map[string]string{"client_id": public.id},
			headers:  basic(app.id, app.secret),
			wantCode: invalidRequest,
			reason:   "in the body and",
		},
		{
			name:     "bearer",
			app:      app,
			headers:  []string{"Authorization", "Bearer x"},
			wantCode: invalidRequest,
			reason:   "not Basic credentials",
		},
		{
			name:     "badly escaped",
			app:      app,
			headers:  basic("%zz", "x"),
			wantCode: invalidRequest,
			reason:   "not form-urlencoded",
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			form := redemption(test.app, signIn(t, s, authorization(test.app)))
			for name, value := range test.form {
				form.Set(name, value)
			}
			got := post(t, s, "/oauth/token", form, test.headers...)
			if test.wantCode == "" {
				got.want(200)
				return
			}
			status := 400
			if test.wantCode == invalidClient {
				status = 401
			}
			got.wantError(status, test.wantCode, test.reason)
			if wantBasic := status == 401 && test.headers != nil; strings.HasPrefix(got.header.Get("WWW-Authenticate"), "Basic") != wantBasic {
				t.Errorf("WWW-Authenticate %q, Basic should be %v", got.header.Get("WWW-Authenticate"), wantBasic)
			}
		})
	}
}
