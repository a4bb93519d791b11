"""What the page is made of: its content, the HTML file around it; and the page itself, in JavaScript, HTML and CSS."""
