"""A study whose definition was changed: what is asked again, and what need not be trained again."""
