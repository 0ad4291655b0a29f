package endpoint

import (
	"errors"
	"net/url"
)

// withoutURL returns err without the URL of the request, whose query may have a token.
func withoutURL(err error) error {
	var wrapped *url.Error
	if errors.As(err, &wrapped) {
		return wrapped.Err
	}
	return err
}
