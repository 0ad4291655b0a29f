package gatehouse

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/gatehouse-mcp/gatehouse/internal/keys"
	"github.com/gatehouse-mcp/gatehouse/internal/quote"
	"github.com/gatehouse-mcp/gatehouse/internal/remote"
	"github.com/gatehouse-mcp/gatehouse/internal/token"
	"github.com/gatehouse-mcp/gatehouse/internal/wellknown"
)

// issuer is one provider of a guard, with its documents and keys.
type issuer struct {
	Provider
	index        int
	settings     *settings
	documents    documents
	jwt          *token.Verifier
	keys         *keys.Set     // nil if Provider.SharedSecret or OpaqueOnly is set
	introspector *introspector // nil if opaque tokens are rejected

	loggedName      atomic.Pointer[string] // last name of the issuer that checkIssuer logged
	registrationOff sync.Once              // the log line
}

// documents are the provider's own metadata documents, which the guard serves unchanged.
type documents struct {
	authorizationServer *remote.Document
	openIDConfiguration *remote.Document
}

// newIssuer returns the provider with the index. audiences are the names of the resource.
func newIssuer(s *settings, index int, audiences []string) (*issuer, error) {
	p := s.providers[index]
	i := &issuer{
		Provider:     p,
		index:        index,
		settings:     s,
		introspector: newIntrospector(p),
		jwt: &token.Verifier{
			Rules:        token.Rules(p.Tokens),
			Issuers:      p.TokenIssuers,
			Resources:    audiences,
			ClientClaims: p.Claims.Client,
			ScopeClaims:  p.Claims.Scopes,
			Leeway:       s.Leeway,
		},
	}
	if p.SharedSecret != "" {
		i.jwt.Secret = []byte(p.SharedSecret)
	}
	if err := i.jwt.Validate(); err != nil {
		return nil, &ConfigError{Field: s.field(index, "Tokens"), Problem: err.Error(), Fix: "see the fields of gatehouse.TokenRules"}
	}
	if err := i.openDocuments(); err != nil {
		return nil, err
	}
	return i, i.openKeys()
}

// openKeys sets i.keys.
func (i *issuer) openKeys() (err error) {
	switch {
	case i.SharedSecret != "" || i.OpaqueOnly:
		return nil
	case len(i.PublicKeys) > 0:
		if i.keys, err = keys.NewStatic(i.PublicKeys, i.jwt.Algorithms); err != nil {
			err = &ConfigError{
				Field:   i.settings.field(i.index, "PublicKeys"),
				Problem: "cannot be used: " + err.Error(),
				Fix:     "set it to a JSON Web Key Set, or to public keys or certificates as PEM",
			}
		}
		return err
	}
	source := keys.Config{
		URL:        i.JWKSURL,
		Client:     i.settings.HTTPClient,
		Algorithms: i.jwt.Algorithms,
		File:       i.keyFile(),
		Logger:     i.settings.Logger,
		Fetched:    i.settings.observers.keysFetched(i.Issuer),
	}
	if source.URL == "" {
		source.URL, source.Locate = i.Issuer, i.documents.locateKeys
	}
	i.keys = keys.New(source)
	return nil
}

// keyFile returns the file for the keys of i: [Config.KeyFile] for the first provider, and
// one with a part of a hash of the issuer in its name for each other one.
func (i *issuer) keyFile() string {
	file := i.settings.KeyFile
	if file == "" || i.index == 0 {
		return file
	}
	sum := sha256.Sum256([]byte(i.Issuer))
	extension := filepath.Ext(file)
	return strings.TrimSuffix(file, extension) + "-" + hex.EncodeToString(sum[:4]) + extension
}

// generation returns the generation of the keys of i, which changes with them.
func (i *issuer) generation() uint64 {
	if i.keys == nil {
		return 1
	}
	return i.keys.Generation()
}

// ready returns nil if tokens of i can be verified now.
func (i *issuer) ready(ctx context.Context) error {
	if i.keys == nil || i.DangerouslySkipVerification {
		return nil
	}
	return plainIssuerError(i.keys.Ready(ctx))
}

// close stops the background refresh of keys and documents.
func (i *issuer) close() {
	if i.keys != nil {
		i.keys.Close()
	}
	i.documents.authorizationServer.Close()
	i.documents.openIDConfiguration.Close()
}

func (i *issuer) openDocuments() error {
	as, err1 := wellknown.AuthorizationServer(i.Issuer)
	oidc, err2 := wellknown.OpenIDConfiguration(i.Issuer)
	d := &i.documents
	*d = documents{
		authorizationServer: i.openDocument(as, func() *remote.Document { return d.openIDConfiguration }),
		openIDConfiguration: i.openDocument(oidc, func() *remote.Document { return d.authorizationServer }),
	}
	return errors.Join(err1, err2)
}

// openDocument returns the document at the URL. Most issuers have only one of the two
// documents; other returns the other one.
func (i *issuer) openDocument(url string, other func() *remote.Document) *remote.Document {
	return remote.New(remote.Config{
		URL:    url,
		Client: i.settings.HTTPClient,
		Logger: i.settings.Logger,
		Accept: i.checkIssuer,
		Other:  other,
	})
}

// checkIssuer rejects a document of another issuer (RFC 8414 §3.3).
func (i *issuer) checkIssuer(document remote.Copy) error {
	var doc struct {
		Issuer string `json:"issuer"`
	}
	if err := json.Unmarshal(document.Body, &doc); err != nil {
		return err
	}
	if doc.Issuer == i.Issuer {
		return nil
	}
	err := &issuerNameError{
		field:      i.settings.field(i.index, "Issuer"),
		configured: i.Issuer,
		own:        quote.Clip(doc.Issuer, maxLoggedText),
	}
	if last := i.loggedName.Swap(&err.own); last == nil || *last != err.own {
		i.settings.Logger.Error(err.Error())
	}
	return err
}

// issuerNameError says that the issuer has another name in its own metadata. Tokens carry
// that name, so none of them would be accepted.
type issuerNameError struct{ field, configured, own string }

func (e *issuerNameError) Error() string {
	fix := "write that"
	if wellknown.Issuer(e.own) != nil {
		fix = "correct the metadata, or write the issuer that tokens have in iss"
	}
	return (&ConfigError{
		Field:   e.field,
		Value:   e.configured,
		Problem: fmt.Sprintf("is not what the issuer calls itself in its metadata, which is %q", e.own),
		Fix:     fix,
	}).Error()
}

// Logged reports that checkIssuer has logged the error, so that the documents do not log
// it again.
func (e *issuerNameError) Logged() bool { return true }

// plainIssuerError returns the *issuerNameError in err, if there is one, without the failed
// requests around it. Otherwise it returns err.
func plainIssuerError(err error) error {
	if name := (*issuerNameError)(nil); errors.As(err, &name) {
		return name
	}
	return err
}

// locateKeys returns the jwks_uri of the issuer's metadata: that of RFC 8414, or else that
// of OpenID Connect Discovery.
func (d documents) locateKeys(ctx context.Context) (string, error) {
	var errs []error
	for _, document := range []*remote.Document{d.authorizationServer, d.openIDConfiguration} {
		c, err := document.Get(ctx)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		var metadata struct {
			JWKSURI string `json:"jwks_uri"`
		}
		if err := json.Unmarshal(c.Body, &metadata); err == nil && metadata.JWKSURI != "" {
			return metadata.JWKSURI, nil
		}
		errs = append(errs, errors.New("metadata has no jwks_uri"))
	}
	return "", errors.Join(errs...)
}
