package localclerk

import (
	"net/http"
)

func (s *Server) getInstance(w http.ResponseWriter, r *http.Request) {
	writeJSON(w, http.StatusOK, map[string]any{
		"object":           "instance",
		"id":               s.instanceID,
		"environment_type": "development",
		"allowed_origins":  nil,
	})
}

type settingsObject struct {
	Object string `json:"object"`
	Settings
}

func (s *Server) getSettings(w http.ResponseWriter, r *http.Request) {
	writeJSON(w, http.StatusOK, settingsObject{"oauth_application_settings", s.currentSettings()})
}

// updateSettings changes the settings that the body contains.
func (s *Server) updateSettings(w http.ResponseWriter, r *http.Request) {
	settings := s.Settings()
	if !s.readBackendBody(w, r, &settings) {
		return
	}
	if err := s.SetSettings(settings); err != nil {
		s.invalidParameter(w, r, "default_scopes", err)
		return
	}
	s.getSettings(w, r)
}
