package localclerk

import (
	"net/http"
	"strings"
)

type emailObject struct {
	ID           string         `json:"id"`
	Object       string         `json:"object"`
	EmailAddress string         `json:"email_address"`
	Verification map[string]any `json:"verification"`
}

// userObject is a user of the Backend API.
type userObject struct {
	ID                    string         `json:"id"`
	Object                string         `json:"object"`
	Username              *string        `json:"username"`
	FirstName             *string        `json:"first_name"`
	LastName              *string        `json:"last_name"`
	ImageURL              string         `json:"image_url"`
	HasImage              bool           `json:"has_image"`
	PrimaryEmailAddressID *string        `json:"primary_email_address_id"`
	EmailAddresses        []emailObject  `json:"email_addresses"`
	PublicMetadata        map[string]any `json:"public_metadata"`
	PrivateMetadata       map[string]any `json:"private_metadata"`
	UnsafeMetadata        map[string]any `json:"unsafe_metadata"`
	Banned                bool           `json:"banned"`
	Locked                bool           `json:"locked"`
	CreatedAt             int64          `json:"created_at"` // milliseconds
	UpdatedAt             int64          `json:"updated_at"` // milliseconds
}

func orNull(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

func (s *Server) newUserObject(u User) userObject {
	o := userObject{
		ID:              u.ID,
		Object:          "user",
		Username:        orNull(u.Username),
		FirstName:       orNull(u.FirstName),
		LastName:        orNull(u.LastName),
		ImageURL:        u.ImageURL,
		HasImage:        u.ImageURL != "",
		EmailAddresses:  []emailObject{},
		PublicMetadata:  orEmpty(u.PublicMetadata),
		PrivateMetadata: orEmpty(u.PrivateMetadata),
		UnsafeMetadata:  orEmpty(u.UnsafeMetadata),
		Banned:          u.Banned,
		CreatedAt:       s.startedAt.UnixMilli(),
		UpdatedAt:       s.startedAt.UnixMilli(),
	}
	if u.Email == "" {
		return o
	}
	status := "verified"
	if u.EmailUnverified {
		status = "unverified"
	}
	id := derivedID("idn_", u.Email)
	o.PrimaryEmailAddressID = &id
	o.EmailAddresses = append(o.EmailAddresses, emailObject{
		ID: id, Object: "email_address", EmailAddress: u.Email, Verification: map[string]any{"status": status},
	})
	return o
}

// membershipObject is an organization membership of the Backend API.
type membershipObject struct {
	ID              string             `json:"id"`
	Object          string             `json:"object"`
	Role            string             `json:"role"`
	RoleName        string             `json:"role_name"`
	Permissions     []string           `json:"permissions"`
	PublicMetadata  map[string]any     `json:"public_metadata"`
	PrivateMetadata map[string]any     `json:"private_metadata"`
	Organization    organizationObject `json:"organization"`
	PublicUserData  publicUserData     `json:"public_user_data"`
	CreatedAt       int64              `json:"created_at"` // milliseconds
	UpdatedAt       int64              `json:"updated_at"` // milliseconds
}

type organizationObject struct {
	ID           string `json:"id"`
	Object       string `json:"object"`
	Name         string `json:"name"`
	Slug         string `json:"slug"`
	MembersCount int    `json:"members_count"`
	CreatedAt    int64  `json:"created_at"` // milliseconds
	UpdatedAt    int64  `json:"updated_at"` // milliseconds
}

type publicUserData struct {
	UserID     string  `json:"user_id"`
	FirstName  *string `json:"first_name"`
	LastName   *string `json:"last_name"`
	Identifier string  `json:"identifier"`
	ImageURL   string  `json:"image_url"`
	HasImage   bool    `json:"has_image"`
}

func (s *Server) newMembershipObject(o Organization, m Membership, u User) membershipObject {
	created := s.startedAt.UnixMilli()
	role := strings.TrimPrefix(m.Role, "org:")
	return membershipObject{
		ID:              derivedID("orgmem_", o.ID+" "+u.ID),
		Object:          "organization_membership",
		Role:            m.Role,
		RoleName:        strings.ToUpper(role[:min(len(role), 1)]) + role[min(len(role), 1):],
		Permissions:     append([]string{}, m.Permissions...),
		PublicMetadata:  map[string]any{},
		PrivateMetadata: map[string]any{},
		Organization: organizationObject{
			ID: o.ID, Object: "organization", Name: o.Name, Slug: o.Slug, MembersCount: len(o.Members),
			CreatedAt: created, UpdatedAt: created,
		},
		PublicUserData: publicUserData{
			UserID: u.ID, FirstName: orNull(u.FirstName), LastName: orNull(u.LastName), Identifier: newAccountView(u).Detail,
			ImageURL: u.ImageURL, HasImage: u.ImageURL != "",
		},
		CreatedAt: created,
		UpdatedAt: created,
	}
}

func (s *Server) getUser(w http.ResponseWriter, r *http.Request) {
	u, ok := s.currentDirectory().user(r.PathValue("id"))
	if !ok {
		s.resourceNotFound(w, r, "user")
		return
	}
	writeJSON(w, http.StatusOK, s.newUserObject(u))
}

func (s *Server) listUserMemberships(w http.ResponseWriter, r *http.Request) {
	dir := s.currentDirectory()
	u, ok := dir.user(r.PathValue("id"))
	if !ok {
		s.resourceNotFound(w, r, "user")
		return
	}
	var all []membershipObject
	for _, o := range dir.memberships(u.ID) {
		m, _ := o.member(u.ID)
		all = append(all, s.newMembershipObject(o, m, u))
	}
	writePage(s, w, r, all)
}

func (s *Server) listOrganizationMemberships(w http.ResponseWriter, r *http.Request) {
	dir := s.currentDirectory()
	o, ok := dir.organization(r.PathValue("id"))
	if !ok {
		s.resourceNotFound(w, r, "organization")
		return
	}
	var all []membershipObject
	for _, m := range o.Members {
		u, _ := dir.user(m.User)
		all = append(all, s.newMembershipObject(o, m, u))
	}
	writePage(s, w, r, all)
}
