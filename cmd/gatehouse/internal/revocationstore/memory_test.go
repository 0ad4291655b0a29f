package revocationstore

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gatehouse-mcp/gatehouse"
	"github.com/gatehouse-mcp/gatehouse/gatehousetest"
)

func TestMemory(t *testing.T) {
	t.Parallel()
	gatehousetest.CheckRevocationStore(t, func(*testing.T) gatehouse.RevocationStore { return OpenMemory() })
}

// A full store rejects a denial, and has a place again when one has ended. A denial that it has already
// needs none.
func TestMemoryIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := OpenMemory()
		soon, late := time.Now().Add(time.Minute), time.Now().Add(time.Hour)
		var batch []gatehouse.Denial
		for i := range maxInMemory {
			d := gatehouse.Denial{Subject: fmt.Sprint("user_", i), Until: late}
			if i == 0 {
				d.Until = soon
			}
			batch = append(batch, d)
		}
		if err := store.Append(t.Context(), batch); err != nil {
			t.Fatal(err)
		}
		another := []gatehouse.Denial{{Subject: "another", Until: late}}
		if err := store.Append(t.Context(), another); !errors.Is(err, ErrFull) {
			t.Errorf("a denial too many: %v, want ErrFull", err)
		}
		if err := store.Append(t.Context(), []gatehouse.Denial{{Subject: "user_1", Until: late}}); err != nil {
			t.Errorf("a denial that the store has: %v, want none", err)
		}
		time.Sleep(time.Minute)
		if err := store.Append(t.Context(), another); err != nil {
			t.Errorf("after one has ended: %v, want none", err)
		}
	})
}

// Each row changes one thing of a denial of the control.
func TestWithIssuers(t *testing.T) {
	const first, second = "https://one.example.com", "https://two.example.com"
	one := gatehouse.Provider{Issuer: first}
	several := gatehouse.Provider{Issuer: first, TokenIssuers: []string{"https://environment.example.com", first}}
	two := gatehouse.Provider{Issuer: second}
	many := gatehouse.Provider{Issuer: first, TokenIssuers: make([]string, maxIssuers+1)}
	for name, tt := range map[string]struct {
		issuer    string
		providers []gatehouse.Provider
		want      []string // issuers
		wantError string
	}{
		"control":                          {"", []gatehouse.Provider{one}, []string{first}, ""},
		"the same provider twice":          {"", []gatehouse.Provider{one, one}, []string{first}, ""},
		"with its issuer":                  {first, []gatehouse.Provider{one}, []string{first}, ""},
		"several issuers of a provider":    {"", []gatehouse.Provider{several}, several.TokenIssuers, ""},
		"the issuer of such a provider":    {first, []gatehouse.Provider{several, two}, several.TokenIssuers, ""},
		"one of the issuers of its tokens": {"https://environment.example.com", []gatehouse.Provider{several, two}, []string{"https://environment.example.com"}, ""},
		"another provider":                 {second, []gatehouse.Provider{several, two}, []string{second}, ""},
		"a provider with tenants":          {"", []gatehouse.Provider{{Issuer: first + "/{tenantid}", Tenants: []string{"a", "b"}}}, []string{""}, ""},
		"several providers":                {"", []gatehouse.Provider{one, two}, nil, "there are several issuers"},
		"an unknown issuer":                {first + "/", []gatehouse.Provider{one}, nil, `"https://one.example.com/" is not an issuer of the providers`},
		"too many issuers":                 {"", []gatehouse.Provider{many}, nil, "the provider has more than 100 issuers"},
	} {
		t.Run(name, func(t *testing.T) {
			denials, err := WithIssuers(gatehouse.Denial{Subject: "user_1", Issuer: tt.issuer}, tt.providers)
			if err != nil || tt.wantError != "" {
				if err == nil || !strings.HasPrefix(err.Error(), tt.wantError) || tt.wantError == "" || len(denials) > 0 {
					t.Fatalf("got %v, %v; want the error %q", denials, err, tt.wantError)
				}
				return
			}
			var got []string
			for _, d := range denials {
				got = append(got, d.Issuer)
				if d.Subject != "user_1" {
					t.Errorf("got the subject %q, want user_1", d.Subject)
				}
			}
			if fmt.Sprint(got) != fmt.Sprint(tt.want) {
				t.Errorf("got the issuers %q, want %q", got, tt.want)
			}
		})
	}
}
