package zitadel

import (
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/gatehouse-mcp/gatehouse"
	"github.com/gatehouse-mcp/gatehouse/provider/internal/setting"
	"github.com/gatehouse-mcp/gatehouse/provider/introspection"
)

// maxKeyFile bounds a key file, in bytes.
const maxKeyFile = 64 << 10

// introspection returns how this server asks about opaque tokens. ok is false if it has no
// credentials for that, or if they have faults.
func (cfg Config) introspection(settings *setting.Reader, issuer string) (asked introspection.Config, ok bool) {
	client := settings.Get("ClientID", cfg.ClientID, clientVariable)
	secret := settings.Get("ClientSecret", string(cfg.ClientSecret), clientSecretVariable)
	file := settings.Get("KeyFile", cfg.KeyFile, keyFileVariable)
	asked = introspection.Config{Issuer: issuer, ClientID: client.Text, HTTPClient: cfg.HTTPClient}
	switch {
	case secret.Text != "" && file.Text != "":
		settings.Fault(file, "is set in addition to "+secret.Name, "set the one that fits the authentication method of the API application")
	case secret.Text != "" && client.Text == "":
		settings.Fault(client, "is missing", "set it to the client ID of the API application that "+secret.Name+" belongs to")
	case secret.Text != "":
		asked.ClientSecret = gatehouse.Secret(secret.Text)
		return asked, true
	case file.Text != "":
		key, err := readKey(file.Text)
		switch {
		case err != nil:
			settings.Fault(file, err.Error(), "set it to the path of the JSON file that the Management Console downloads for an "+
				"API application (Keys → New)")
		case client.Text != "" && client.Text != key.client:
			settings.Fault(client, fmt.Sprintf("is not the client of %s, which is %q", file.Name, key.client), "remove it, or use the key of this client")
		default:
			asked.ClientID, asked.KeyID, asked.PrivateKey = key.client, key.id, key.private
			return asked, true
		}
	case client.Text != "":
		settings.SecretFault(secret, "is missing", "set it to the secret of the API application with the client ID in "+client.Name+", or remove that")
	case cfg.IntrospectAll:
		settings.Fault(setting.Value{Name: "IntrospectAll"}, "is set without credentials",
			"set "+clientVariable+" and "+clientSecretVariable+", or "+keyFileVariable+", to those of an API application in the project")
	}
	return introspection.Config{}, false
}

// applicationKey is the private key of an API application.
type applicationKey struct {
	client, id string
	private    *rsa.PrivateKey
}

// readKey reads a key file of ZITADEL. The error continues a sentence about the file, and
// contains nothing of it.
func readKey(path string) (applicationKey, error) {
	text, err := readFile(path)
	if err != nil {
		return applicationKey{}, err
	}
	var content struct {
		Type     string `json:"type"`
		KeyID    string `json:"keyId"`
		Key      string `json:"key"`
		ClientID string `json:"clientId"`
	}
	if err := json.Unmarshal(text, &content); err != nil {
		return applicationKey{}, errors.New("is not a key file of ZITADEL")
	}
	if content.Type == "serviceaccount" {
		return applicationKey{}, errors.New("is the key of a service account, which may not check tokens")
	}
	if content.ClientID == "" || content.KeyID == "" {
		return applicationKey{}, errors.New("is not the key file of an application, because clientId or keyId is missing")
	}
	private, err := parseKey(content.Key)
	if err != nil {
		return applicationKey{}, err
	}
	return applicationKey{client: content.ClientID, id: content.KeyID, private: private}, nil
}

// readFile returns the beginning of a file. Its error does not repeat the path.
func readFile(path string) ([]byte, error) {
	file, err := os.Open(path)
	if err == nil {
		defer file.Close()
		var text []byte
		if text, err = io.ReadAll(io.LimitReader(file, maxKeyFile)); err == nil {
			return text, nil
		}
	}
	if failed := (*fs.PathError)(nil); errors.As(err, &failed) {
		err = failed.Err
	}
	return nil, fmt.Errorf("cannot be read: %w", err)
}

func parseKey(text string) (*rsa.PrivateKey, error) {
	block, _ := pem.Decode([]byte(text))
	if block == nil {
		return nil, errors.New("has no key in the form of PEM")
	}
	if private, err := x509.ParsePKCS1PrivateKey(block.Bytes); err == nil {
		return private, nil
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if private, ok := parsed.(*rsa.PrivateKey); err == nil && ok {
		return private, nil
	}
	return nil, errors.New("has no RSA key")
}
