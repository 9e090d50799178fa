"""Training of the face detector: scenes painted from pictures, labelled by a teacher."""
