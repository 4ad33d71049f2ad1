/* The version of Flotilla: of its programs, its library and its headers alike. */
#ifndef FLOTILLA_VERSION_H
#define FLOTILLA_VERSION_H

#define FLOTILLA_VERSION "0.1.0"

#endif
