package publish

import "github.com/deepimage-receiver/receiver/internal/event"

// Message exports the message of an event.
func (h *Handler) Message(e event.Event) (id, job string, body []byte, err error) {
	made, err := h.message(e)
	return made.ID, made.Job, made.Body, err
}
