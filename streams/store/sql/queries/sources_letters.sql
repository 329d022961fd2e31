SELECT letter.source AS source, count() AS dead_letters
FROM dead_letters AS letter LEFT JOIN dead_letter_states AS fate ON fate.id = letter.id
WHERE letter.source IN {names:Array(String)} AND if(fate.state = '', 'open', fate.state) = 'open'
GROUP BY source
