package localclerk

import "slices"

// Settings returns the settings in force.
func (s *Server) Settings() Settings { return s.currentSettings().clone() }

// SetSettings puts settings in force for every request from now on. Clients
// and tokens stay as they were registered and issued.
func (s *Server) SetSettings(settings Settings) error {
	if err := settings.check(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.settings = settings.clone()
	return nil
}

// Users returns the users there are, with the ids they got.
func (s *Server) Users() []User { return slices.Clone(s.currentPeople().users) }

// Organizations returns the organizations there are, with the ids they got and
// members by id.
func (s *Server) Organizations() []Organization {
	return slices.Clone(s.currentPeople().organizations)
}

// SetPeople replaces all users and organizations. Tokens of users who are gone
// or banned stop working wherever the server itself is asked. The caller must
// not change what it passed afterwards.
func (s *Server) SetPeople(users []User, organizations []Organization) error {
	people, err := newDirectory(users, organizations)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.people = people
	return nil
}

// RevokeUser revokes every grant of a user, named by id, username, email or
// first name: codes, refresh tokens and opaque access tokens. JWT access
// tokens, as at Clerk, cannot be revoked.
func (s *Server) RevokeUser(name string) error {
	user, err := s.currentPeople().find(name)
	if err != nil {
		return err
	}
	s.vault.revokeUser(user.ID)
	return nil
}
