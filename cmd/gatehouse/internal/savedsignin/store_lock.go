package savedsignin

import (
	"context"
	"fmt"
	"time"
)

const (
	lockSuffix       = ".lock"
	lockPollInterval = 20 * time.Millisecond
	lockTimeout      = time.Minute // longer than one refresh can take
)

// Lock waits until no other program refreshes the tokens of a sign-in, and keeps
// others from doing so until unlock is called or this program ends. If two programs
// used the same refresh token, an authorization server that rotates refresh tokens
// would take one of them for a thief and end the sign-in (OAuth 2.1 section 4.3.1).
func (s *Store) Lock(ctx context.Context, a Account, issuer string) (unlock func(), err error) {
	if err := s.makeDir(); err != nil {
		return nil, fmt.Errorf("locking the sign-in: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, lockTimeout)
	defer cancel()
	for {
		unlock, busy, err := tryLock(s.path(a, issuer) + lockSuffix)
		if err != nil {
			return nil, fmt.Errorf("locking the sign-in: %w", err)
		}
		if !busy {
			return unlock, nil
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("waiting for another gatehouse to refresh the sign-in: %w", ctx.Err())
		case <-time.After(lockPollInterval):
		}
	}
}
