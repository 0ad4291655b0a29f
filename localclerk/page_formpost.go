package localclerk

import (
	"html/template"
	"net/http"
	"net/url"
)

// showFormPost sends an authorization response as a form (OAuth 2.0 Form Post
// Response Mode). The user has to click, because the pages contain no script.
func (s *Server) showFormPost(w http.ResponseWriter, r *http.Request, req authorizationRequest, params url.Values) {
	s.renderPage(w, http.StatusOK, formPostPage, struct {
		layout
		Client string
		Action template.URL
		Params url.Values
	}{s.layout(), req.client.name, template.URL(req.redirectURI), params}, req.redirectURI)
}
