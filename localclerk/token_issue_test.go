package localclerk

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/go-cmp/cmp"
)

func issueToken(t testing.TB, s *Server, token Token) string {
	t.Helper()
	got, err := s.IssueToken(token)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func TestIssuedJWTs(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		now := float64(time.Now().Unix())
		users, organizations := SeedUsers(), SeedOrganizations()
		organizations[0].Members[0].Permissions = []string{"org:teams:read", "org:dashboard:manage", "org:dashboard:read"}
		s, err := New(Config{Issuer: testIssuer, Users: users, Organizations: organizations, SigningKey: testKey()})
		if err != nil {
			t.Fatal(err)
		}
		ada, engines := derivedID("user_", "ada"), derivedID("org_", "analytical-engines")
		for _, test := range []struct {
			name         string
			token        Token
			header, want string // in addition to alg, kid, iss, iat, nbf and exp
			random       map[string]string
		}{
			{
				name:   "zero value",
				header: `{"typ": "at+jwt"}`,
				want:   `{"sub": "` + ada + `", "scope": "profile email"}`,
				random: map[string]string{"jti": "oat_", "client_id": ""},
			},
			{
				name: "OAuth",
				token: Token{Kind: OAuthToken, User: "Ada", Organization: "analytical-engines", Scopes: []string{"email"},
					ClientID: "client", Resource: testResource},
				header: `{"typ": "at+jwt"}`,
				want: `{"sub": "` + ada + `", "scope": "email user:org:read", "client_id": "client",
					"aud": ["` + testResource + `"], "org_id": "` + engines + `"}`,
				random: map[string]string{"jti": "oat_"},
			},
			{
				name:   "ID",
				token:  Token{Kind: IDToken, ClientID: "client", Scopes: []string{"openid"}, Resource: testResource},
				header: `{"typ": "JWT"}`,
				want:   `{"sub": "` + ada + `", "aud": ["client"]}`,
				random: map[string]string{"jti": ""},
			},
			{
				name:   "session",
				token:  Token{Kind: SessionToken},
				header: `{"typ": "JWT", "cat": "cl_B7d4PD111AAA"}`,
				want:   `{"sub": "` + ada + `", "azp": "http://localhost:3000", "fva": [0, -1], "sts": "active", "v": 2}`,
				random: map[string]string{"sid": "sess_"},
			},
			{
				name:   "session with an organization",
				token:  Token{Kind: SessionToken, Organization: engines},
				header: `{"typ": "JWT", "cat": "cl_B7d4PD111AAA"}`,
				want: `{"sub": "` + ada + `", "azp": "http://localhost:3000", "fva": [0, -1], "sts": "active", "v": 2, "fea": "o:dashboard,o:teams",
					"o": {"id": "` + engines + `", "slg": "analytical-engines", "rol": "admin", "per": "manage,read", "fpm": "3,2"}}`,
				random: map[string]string{"sid": "sess_"},
			},
			{
				name:   "template",
				token:  Token{Kind: TemplateToken, Resource: testResource, Claims: map[string]any{"email": "x", "azp": nil}},
				header: `{"typ": "JWT", "cat": "cl_B7d4PD222AAA"}`,
				want:   `{"sub": "` + ada + `", "aud": "` + testResource + `", "email": "x"}`,
				random: map[string]string{"jti": ""},
			},
			{
				name:   "M2M",
				token:  Token{Kind: M2MToken},
				header: `{"typ": "JWT", "cat": "cl_B7d4PD333AAA"}`,
				want:   `{}`,
				random: map[string]string{"jti": "mt_", "sub": "mch_"},
			},
			{
				name:   "another header",
				token:  Token{Header: map[string]any{"typ": nil, "cat": "x"}},
				header: `{"cat": "x"}`,
				want:   `{"sub": "` + ada + `", "scope": "profile email"}`,
				random: map[string]string{"jti": "oat_", "client_id": ""},
			},
		} {
			token := issueToken(t, s, test.token)
			if _, err := jwt.Parse(token, s.keys.verificationKeys); err != nil {
				t.Errorf("%s: %v", test.name, err)
			}
			header, claims := decode(t, token)
			wantHeader := parseObject(t, test.header)
			wantHeader["alg"], wantHeader["kid"] = "RS256", s.keys.kid
			if diff := cmp.Diff(wantHeader, header); diff != "" {
				t.Errorf("%s: header (-want +got)\n%s", test.name, diff)
			}
			for name, prefix := range test.random {
				if value, _ := claims[name].(string); len(value) < 16 || !strings.HasPrefix(value, prefix) {
					t.Errorf("%s: %s is %q, want %s and something random", test.name, name, value, prefix)
				}
				delete(claims, name)
			}
			want := parseObject(t, test.want)
			want["iss"], want["iat"], want["nbf"] = testIssuer, now, now-10
			if test.token.Kind == IDToken {
				delete(want, "nbf")
			}
			want["exp"] = claims["exp"]
			if diff := cmp.Diff(want, claims); diff != "" {
				t.Errorf("%s: claims (-want +got)\n%s", test.name, diff)
			}
		}
	})
}

func TestIssuedTokenLifetimes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t, nil)
		for _, test := range []struct {
			kind     TokenKind
			lifetime time.Duration
			want     time.Duration
		}{
			{OAuthToken, 0, 86401 * time.Second},
			{OAuthToken, time.Minute, 61 * time.Second},
			{OAuthToken, -time.Hour, -3599 * time.Second},
			{IDToken, 0, 24 * time.Hour},
			{SessionToken, 0, time.Minute},
			{SessionToken, -time.Minute, -time.Minute},
			{TemplateToken, 0, time.Minute},
			{M2MToken, 0, time.Hour},
		} {
			_, claims := decode(t, issueToken(t, s, Token{Kind: test.kind, Lifetime: test.lifetime}))
			got := time.Duration(claims["exp"].(float64)-claims["iat"].(float64)) * time.Second
			if got != test.want {
				t.Errorf("%s for %s: lives %s, want %s", test.kind, test.lifetime, got, test.want)
			}
		}
	})
}

func TestIssuedOpaqueTokens(t *testing.T) {
	t.Parallel()
	s := newServer(t, nil)
	for prefix, token := range map[string]Token{
		"oat_": {Kind: OAuthToken, Opaque: true},
		"mt_":  {Kind: M2MToken, Opaque: true},
		"ak_":  {Kind: APIKey},
	} {
		if got := issueToken(t, s, token); !strings.HasPrefix(got, prefix) || strings.Contains(got, ".") || len(got) < 28 {
			t.Errorf("got %q, want %s and something random", got, prefix)
		}
	}
	alive := issueToken(t, s, Token{Opaque: true, User: "grace"})
	get(t, s, "/oauth/userinfo", "Authorization", "Bearer "+alive).want(200)
	dead := issueToken(t, s, Token{Opaque: true, Lifetime: -time.Hour})
	get(t, s, "/oauth/userinfo", "Authorization", "Bearer "+dead).want(401)
}

func TestIssueTokenRejects(t *testing.T) {
	t.Parallel()
	s := newServer(t, nil)
	for _, test := range []struct {
		name    string
		token   Token
		wantErr string
	}{
		{"unknown user", Token{User: "bob"}, `no user "bob"`},
		{"unknown organization", Token{Organization: "acme"}, `Ada Lovelace is not a member of "acme"`},
		{
			name:    "organization of others",
			token:   Token{User: "grace", Organization: "bombe-works"},
			wantErr: `the user's organizations are "analytical-engines"`,
		},
		{"unknown kind", Token{Kind: "cookie"}, `got kind "cookie", want one of`},
		{"unencodable claim", Token{Claims: map[string]any{"x": func() {}}}, "signing a token"},
	} {
		if _, err := s.IssueToken(test.token); err == nil || !strings.Contains(err.Error(), test.wantErr) {
			t.Errorf("%s: got %v, want %q", test.name, err, test.wantErr)
		}
	}
}

func TestCompactPermissions(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		permissions   []string
		fea, per, fpm string
	}{
		{nil, "", "", ""},
		{[]string{"org:teams:read"}, "o:teams", "read", "1"},
		{[]string{"org:b:write", "org:a:read", "org:b:read"}, "o:a,o:b", "read,write", "1,3"},
		{[]string{"org:a:read", "org:a:read"}, "o:a", "read", "1"},
		{[]string{"org:sys_memberships", "teams:read", "user:a:read"}, "", "", ""},
	} {
		fea, per, fpm := compactPermissions(test.permissions)
		if fea != test.fea || per != test.per || fpm != test.fpm {
			t.Errorf("%q: got %q %q %q, want %q %q %q", test.permissions, fea, per, fpm, test.fea, test.per, test.fpm)
		}
	}
}
